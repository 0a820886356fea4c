import Metrics
import Testing

@Suite struct ExpositionTests {
    private static let packets = MetricFamily(
        "node_packets", .counter, unit: .packets, help: "Packets.",
        labels: [MetricLabel("way", ["in", "out"]), MetricLabel("family", ["4", "6"])])
    private static let load = MetricFamily("node_load", .gauge, help: "Load.")
    private static let size = MetricFamily(
        "node_size_bytes", .histogram, unit: .bytes, help: "Size.", bounds: [1, 1000])

    private func text(_ format: ExpositionFormat, _ write: (inout Exposition) -> Void) -> String {
        var exposition = Exposition(format)
        write(&exposition)
        return String(decoding: exposition.end(), as: UTF8.self)
    }

    @Test func `a counter's family has the suffix in the text format, and only its samples in OpenMetrics`() {
        let values: [MetricValue?] = [.integer(1), .integer(2), .integer(3), .integer(.max)]
        let samples = """
            node_packets_total{way="in",family="4"} 1
            node_packets_total{way="in",family="6"} 2
            node_packets_total{way="out",family="4"} 3
            node_packets_total{way="out",family="6"} 18446744073709551615

            """
        #expect(
            text(.text) { $0.write(Self.packets, values) } == """
                # HELP node_packets_total Packets.
                # TYPE node_packets_total counter

                """ + samples)
        #expect(
            text(.openMetrics) { $0.write(Self.packets, values) } == """
                # HELP node_packets Packets.
                # TYPE node_packets counter
                # UNIT node_packets packets

                """ + samples + "# EOF\n")
    }

    @Test func `what is not known is left out, and a family of which nothing is known altogether`() {
        #expect(
            text(.text) { $0.write(Self.packets, [nil, .integer(0), nil, nil]) }.split(separator: "\n").last
                == #"node_packets_total{way="in",family="6"} 0"#)
        #expect(text(.text) { $0.write(Self.load, [nil]) } == "")
    }

    @Test func `buckets are told cumulatively, the last one of everything`() {
        let buckets = MetricBuckets(counts: [2, 0, 5], sum: .integer(12_345))
        #expect(
            text(.text) { $0.write(Self.size, buckets) }.split(separator: "\n").dropFirst(2) == [
                #"node_size_bytes_bucket{le="1.0"} 2"#, #"node_size_bytes_bucket{le="1000.0"} 2"#,
                #"node_size_bytes_bucket{le="+Inf"} 7"#, "node_size_bytes_sum 12345", "node_size_bytes_count 7",
            ])
        #expect(Self.size.seriesCount == 5 && Self.packets.seriesCount == 4 && Self.load.seriesCount == 1)
    }

    @Test(arguments: [(0.5, "0.5"), (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (1e-7, "1e-07")])
    func `numbers are written as both formats read them`(number: Double, written: String) {
        #expect(text(.text) { $0.write(Self.load, [.real(number)]) }.hasSuffix("node_load \(written)\n"))
    }

    @Test func `what a label's value may not hold is escaped`() {
        let family = MetricFamily("node_info", .gauge, help: "Info.", labels: [MetricLabel("name", ["a\"b\\c\nd"])])
        #expect(text(.text) { $0.write(family, [.integer(1)]) }.hasSuffix(#"node_info{name="a\"b\\c\nd"} 1"# + "\n"))
    }
}

@Suite struct ExpositionFormatTests {
    @Test(
        arguments: [
            ([], .text), (["*/*"], .text), (["text/plain"], .text), (["text/plain; version=0.0.4"], .text),
            (["application/openmetrics-text"], .openMetrics),
            (["application/openmetrics-text; version=1.0.0"], .openMetrics),
            (["application/openmetrics-text; version=\"1.0.0\""], .openMetrics),
            (["Application/OpenMetrics-Text;Version=1.0.0"], .openMetrics),
            (["application/openmetrics-text;version=0.0.1"], .text),
            (["application/openmetrics-text;version=2.0.0"], .text),
            // What Prometheus 2.42 sends.
            (
                [
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                        + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
                ], .openMetrics
            ),
            (["text/plain;q=0.9", "application/openmetrics-text;q=0.1"], .text),
            (["text/plain;q=0.1", "application/openmetrics-text;q=0.9"], .openMetrics),
            (["application/openmetrics-text;q=0"], .text), (["application/json"], .text), ([";;;,,q=,"], .text),
            (["application/openmetrics-text;q=nan"], .text),
        ] as [([String], ExpositionFormat)])
    func `the format is the one that is liked best, and the text format for who likes none`(
        accept: [String], format: ExpositionFormat
    ) {
        #expect(ExpositionFormat(accept: accept) == format)
    }
}
