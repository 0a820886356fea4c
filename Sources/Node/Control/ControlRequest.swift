import FoundationEssentials

/// What one may ask a running node: one line of JSON, `{"verb":"flows","top":20,"reveal":false}`.
package enum ControlRequest: Codable, Equatable, Sendable {
    /// Whether addresses leave the process as they are.
    package enum Addresses: Sendable { case masked, revealed }

    /// Answered by a `StatusReport`.
    case status
    /// Answered by a `FlowsReport` of the `top` busiest.
    case flows(top: Int, addresses: Addresses)
    /// Answered by a `StatusReport` of a node that is stopping.
    case stop

    /// How many flows may be listed at once; more would make the answer larger than `ControlClient` reads.
    package static let topRange = 1...1_000

    private enum Verb: String, Codable { case status, flows, stop }
    private enum Keys: CodingKey { case verb, top, reveal }

    package init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: Keys.self)
        switch try keys.decode(Verb.self, forKey: .verb) {
        case .status:
            self = .status
        case .stop:
            self = .stop
        case .flows:
            let top = try keys.decodeIfPresent(Int.self, forKey: .top) ?? 20
            guard Self.topRange.contains(top) else {
                throw DecodingError.dataCorruptedError(forKey: .top, in: keys, debugDescription: "top is out of range")
            }
            let reveal = try keys.decodeIfPresent(Bool.self, forKey: .reveal) ?? false
            self = .flows(top: top, addresses: reveal ? .revealed : .masked)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var keys = encoder.container(keyedBy: Keys.self)
        switch self {
        case .status:
            try keys.encode(Verb.status, forKey: .verb)
        case .stop:
            try keys.encode(Verb.stop, forKey: .verb)
        case .flows(let top, let addresses):
            try keys.encode(Verb.flows, forKey: .verb)
            try keys.encode(top, forKey: .top)
            try keys.encode(addresses == .revealed, forKey: .reveal)
        }
    }

    init(line: some Sequence<UInt8>) throws(Refusal) {
        do {
            self = try JSONDecoder().decode(ControlRequest.self, from: Data(line))
        } catch {
            throw Refusal(
                couldNot: "understand the request", because: "it is not one line of JSON with a verb that is known",
                remedy: #"ask {"verb":"status"} or {"verb":"flows","top":20,"reveal":false}, in at most 4096 octets"#,
                exitCode: .usage)
        }
    }

    var line: [UInt8] {
        get throws(Refusal) {
            do {
                return try Array(JSONEncoder().encode(self)) + [UInt8(ascii: "\n")]
            } catch {
                throw Refusal(couldNot: "write the request", because: "\(error)", exitCode: .bug)
            }
        }
    }
}
