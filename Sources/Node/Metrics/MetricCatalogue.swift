package import Metrics

/// A family of metrics, and how its values are read off a scrape.
package struct Metric: Sendable {
    package let family: MetricFamily
    let read: @Sendable (Scrape) -> Reading

    enum Reading {
        /// Of each series, in the order of the labels' values.
        case values([MetricValue?])
        case buckets(MetricBuckets)
        case unknown
    }

    /// One without labels, or with some; a value for each of their combinations, or none at all.
    init(
        _ name: String, _ kind: MetricFamily.Kind, unit: MetricFamily.Unit? = nil, _ help: String,
        by labels: [MetricLabel] = [], _ values: @escaping @Sendable (Scrape) -> [MetricValue?]?
    ) {
        family = MetricFamily(name, kind, unit: unit, help: help, labels: labels)
        read = { scrape in values(scrape).map(Reading.values) ?? .unknown }
    }

    init(
        histogram name: String, unit: MetricFamily.Unit, _ help: String, bounds: [Double],
        _ buckets: @escaping @Sendable (Scrape) -> MetricBuckets?
    ) {
        family = MetricFamily(name, .histogram, unit: unit, help: help, bounds: bounds)
        read = { scrape in buckets(scrape).map(Reading.buckets) ?? .unknown }
    }
}

extension Metric {
    /// Every metric there is, in the order in which scrapes and documentation list them.
    package static let catalogue: [Metric] =
        ofTheNode + ofTraffic + ofFlows + ofSeparation + ofTheCap + ofTheTunnel + ofNames + ofTheProcess

    /// The most series that Prometheus should have to keep of a node, and the most it can ever get: all labels' values are
    /// known beforehand.
    package static let seriesLimit = 200
}

extension Scrape {
    func text(_ format: ExpositionFormat) -> [UInt8] {
        var exposition = Exposition(format)
        for metric in Metric.catalogue {
            switch metric.read(self) {
            case .values(let values): exposition.write(metric.family, values)
            case .buckets(let buckets): exposition.write(metric.family, buckets)
            case .unknown: break
            }
        }
        return exposition.end()
    }
}
