/// Metrics as text, family after family.
package struct Exposition: ~Copyable {
    private let format: ExpositionFormat
    private var text: [UInt8] = []

    package init(_ format: ExpositionFormat) {
        self.format = format
        text.reserveCapacity(1 << 15)
    }

    // MARK: Families

    /// - Parameter values: of each series, in the order of the labels' values, the last label's changing first; a series
    ///   that has none at the moment is left out, and a family of none too.
    package mutating func write(_ family: MetricFamily, _ values: [MetricValue?]) {
        precondition(values.count == family.series.count, "\(family.name) has \(family.series.count) series")
        guard values.contains(where: { $0 != nil }) else { return }
        writeHead(family)
        for (labels, value) in zip(family.series, values) {
            if let value { writeSample(family.sampleName, labels, value) }
        }
    }

    /// - Parameter buckets: of a family without labels.
    package mutating func write(_ family: MetricFamily, _ buckets: MetricBuckets) {
        precondition(buckets.counts.count == family.bounds.count + 1, "\(family.name) has another number of buckets")
        writeHead(family)
        var count: UInt64 = 0
        for (bound, more) in zip(family.bounds.map { "\($0)" } + ["+Inf"], buckets.counts) {
            count &+= more
            writeSample(family.name + "_bucket", "{le=\"\(bound)\"}", .integer(count))
        }
        writeSample(family.name + "_sum", "", buckets.sum)
        writeSample(family.name + "_count", "", .integer(count))
    }

    /// The whole text.
    package consuming func end() -> [UInt8] {
        if format == .openMetrics { append("# EOF\n") }
        return text
    }

    // MARK: Lines

    private mutating func writeHead(_ family: MetricFamily) {
        let name = format == .openMetrics ? family.name : family.sampleName
        append("# HELP \(name) \(family.help)\n# TYPE \(name) \(family.kind.rawValue)\n")
        if format == .openMetrics, let unit = family.unit { append("# UNIT \(name) \(unit.rawValue)\n") }
    }

    private mutating func writeSample(_ name: String, _ labels: String, _ value: MetricValue) {
        append(name)
        append(labels)
        text.append(UInt8(ascii: " "))
        switch value {
        case .integer(let count): append("\(count)")
        case .real(let number) where number.isNaN: append("NaN")
        case .real(let number) where number.isInfinite: append(number > 0 ? "+Inf" : "-Inf")
        case .real(let number): append("\(number)")
        }
        text.append(UInt8(ascii: "\n"))
    }

    private mutating func append(_ string: String) { text.append(contentsOf: string.utf8) }
}
