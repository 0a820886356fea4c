/// The formats that scrapers read.
package enum ExpositionFormat: Sendable {
    /// The text format of Prometheus, version 0.0.4.
    case text
    /// OpenMetrics 1.0.
    case openMetrics

    package var contentType: String {
        switch self {
        case .text: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// The one that a scraper likes best (RFC 9110 section 12.5.1); the text format for who says nothing that we have, as
    /// Prometheus' own libraries do.
    ///
    /// - Parameter accept: the values of all `Accept` fields.
    package init(accept: [String]) {
        var best = (format: Self.text, quality: 0.0)
        for range in accept.joined(separator: ",").split(separator: ",") {
            let parts = range.split(separator: ";").map { $0.lowercased().filter { !$0.isWhitespace && $0 != "\"" } }
            guard let type = parts.first, let format = Self(type, parts.dropFirst()) else { continue }
            let quality = parts.lazy.filter { $0.hasPrefix("q=") }.compactMap { Double($0.dropFirst(2)) }.first ?? 1
            if quality > best.quality { best = (format, quality) }
        }
        self = best.format
    }

    private init?(_ type: String, _ parameters: some Sequence<String>) {
        let version = parameters.first { $0.hasPrefix("version=") }.map { $0.dropFirst("version=".count) }
        switch type {
        case "application/openmetrics-text" where version == nil || version == "1.0.0": self = .openMetrics
        case "text/plain" where version == nil || version == "0.0.4", "text/*", "*/*": self = .text
        default: return nil
        }
    }
}
