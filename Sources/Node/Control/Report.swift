package import FoundationEssentials

/// An answer that is one JSON object, on the control socket and under `--json`.
///
/// Keys are the property names in snake case, sorted; dates RFC 3339 in whole seconds; what is not known is left out.
package protocol Report: Codable, Sendable {
    /// The name and version of its shape, for example `forwarder.status/1`.
    var schema: String { get }

    func json() throws(Refusal) -> Data
}

extension Report {
    package func json() throws(Refusal) -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return try encoder.encode(self)
        } catch {
            throw Refusal(couldNot: "write the answer as JSON", because: "\(error)", exitCode: .bug)
        }
    }

    package init(json: Data) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        decoder.dateDecodingStrategy = .iso8601
        self = try decoder.decode(Self.self, from: json)
    }
}

/// The answer where there is none: `{"error": {"because": ..., "could_not": ..., "remedy": ...}}`.
package struct RefusalReport: Report {
    package var schema = "forwarder.error/1"
    package let error: Refusal

    package init(_ refusal: Refusal) { error = refusal }
}
