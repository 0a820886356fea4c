/// What one metric is, whatever its value: declared once, told in every format, listed in the docs.
///
/// Names follow Prometheus' conventions: base units, the unit last, and `_total`, which only samples of counters have, is not
/// part of it (OpenMetrics 1.0, section "MetricFamily").
package struct MetricFamily: Sendable {
    /// Scripts see the raw values: they are those of both formats.
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    /// Base units, as they end a name.
    package enum Unit: String, Sendable {
        case bytes, seconds, packets
        case bytesPerSecond = "bytes_per_second"
    }

    package let name: String
    package let kind: Kind
    package let unit: Unit?
    package let help: String
    package let labels: [MetricLabel]
    /// Upper bounds of a histogram's buckets, ascending; the last one, of everything, is not among them.
    package let bounds: [Double]
    /// What follows the name, in each series: nothing, or `{direction="egress",family="ipv4"}`. The last label changes first.
    let series: [String]

    package init(
        _ name: String, _ kind: Kind, unit: Unit? = nil, help: String, labels: [MetricLabel] = [], bounds: [Double] = []
    ) {
        self.name = name
        self.kind = kind
        self.unit = unit
        self.help = help
        self.labels = labels
        self.bounds = bounds
        let combinations = labels.reduce([[String]]([[]])) { combinations, label in
            combinations.flatMap { so in label.values.map { so + ["\(label.name)=\"\(escaped($0))\""] } }
        }
        series = combinations.map { $0.isEmpty ? "" : "{\($0.joined(separator: ","))}" }
    }

    /// How many series it is in the worst case, and every case is that one.
    package var seriesCount: Int {
        // A bucket for each bound and one for all, a sum and a count.
        series.count * (kind == .histogram ? bounds.count + 3 : 1)
    }

    /// The name that a query has for it.
    package var sampleName: String { kind == .counter ? name + "_total" : name }
}

/// A label and all the values it can ever have.
package struct MetricLabel: Sendable {
    package let name: String
    package let values: [String]

    package init(_ name: String, _ values: [String]) {
        self.name = name
        self.values = values
    }
}

/// One number, as exact as it is known.
package enum MetricValue: Hashable, Sendable {
    case integer(UInt64)
    case real(Double)

    package init(_ count: Int) { self = .integer(UInt64(clamping: count)) }

    /// 1 or 0.
    package init(_ holds: Bool) { self = .integer(holds ? 1 : 0) }
}

/// What a histogram has counted.
package struct MetricBuckets: Hashable, Sendable {
    /// Of each bucket by itself, that of everything above the last bound included.
    package let counts: [UInt64]
    package let sum: MetricValue

    package init(counts: [UInt64], sum: MetricValue) {
        self.counts = counts
        self.sum = sum
    }
}

/// As inside the quotes of both formats.
func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
        switch character {
        case "\\": result += "\\\\"
        case "\"": result += "\\\""
        case "\n": result += "\\n"
        default: result.append(character)
        }
    }
    return result
}
