import FoundationEssentials

/// What one may ask a running node: one line of JSON, `{"verb":"flows","top":20,"reveal":false}`.
package enum ControlRequest: Codable, Equatable, Sendable {
    /// Whether addresses leave the process as they are.
    package enum Addresses: Sendable { case masked, revealed }

    /// Answered by a `StatusReport`.
    case status
    /// Answered by a `HealthReport`.
    case health
    /// Answered by a `FlowsReport` of the `top` busiest.
    case flows(top: Int, addresses: Addresses)
    /// Answered by a `ClientsReport` of the `top` busiest.
    case clients(top: Int, addresses: Addresses)
    /// Answered by a `QuotaReport`, after the change.
    case quota(Change?)
    /// Answered by a `StatusReport` of a node that is stopping.
    case stop

    /// What a person may do about the cap.
    package enum Change: Codable, Equatable, Sendable {
        /// So many bytes more, for this period.
        case grant(UInt64)
        /// No cap until the next period.
        case lift
        /// The count of this period begins anew.
        case reset
    }

    /// How many flows or clients may be listed at once; more would make the answer larger than `ControlClient` reads.
    package static let topRange = 1...1_000

    private enum Verb: String, Codable { case status, health, flows, clients, quota, grant, lift, reset, stop }
    private enum Keys: CodingKey { case verb, top, reveal, bytes }

    package init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: Keys.self)
        switch try keys.decode(Verb.self, forKey: .verb) {
        case .status:
            self = .status
        case .health: self = .health
        case .stop:
            self = .stop
        case .quota: self = .quota(nil)
        case .grant: self = .quota(.grant(try keys.decode(UInt64.self, forKey: .bytes)))
        case .lift: self = .quota(.lift)
        case .reset: self = .quota(.reset)
        case .flows:
            let list = try Self.list(keys)
            self = .flows(top: list.top, addresses: list.addresses)
        case .clients:
            let list = try Self.list(keys)
            self = .clients(top: list.top, addresses: list.addresses)
        }
    }

    private static func list(_ keys: KeyedDecodingContainer<Keys>) throws -> (top: Int, addresses: Addresses) {
        let top = try keys.decodeIfPresent(Int.self, forKey: .top) ?? 20
        guard topRange.contains(top) else {
            throw DecodingError.dataCorruptedError(forKey: .top, in: keys, debugDescription: "top is out of range")
        }
        return (top, try keys.decodeIfPresent(Bool.self, forKey: .reveal) ?? false ? .revealed : .masked)
    }

    package func encode(to encoder: any Encoder) throws {
        var keys = encoder.container(keyedBy: Keys.self)
        switch self {
        case .status:
            try keys.encode(Verb.status, forKey: .verb)
        case .health: try keys.encode(Verb.health, forKey: .verb)
        case .stop:
            try keys.encode(Verb.stop, forKey: .verb)
        case .quota(nil): try keys.encode(Verb.quota, forKey: .verb)
        case .quota(.grant(let bytes)):
            try keys.encode(Verb.grant, forKey: .verb)
            try keys.encode(bytes, forKey: .bytes)
        case .quota(.lift): try keys.encode(Verb.lift, forKey: .verb)
        case .quota(.reset): try keys.encode(Verb.reset, forKey: .verb)
        case .flows(let top, let addresses): try Self.encode(.flows, top, addresses, in: &keys)
        case .clients(let top, let addresses): try Self.encode(.clients, top, addresses, in: &keys)
        }
    }

    private static func encode(
        _ verb: Verb, _ top: Int, _ addresses: Addresses, in keys: inout KeyedEncodingContainer<Keys>
    ) throws {
        try keys.encode(verb, forKey: .verb)
        try keys.encode(top, forKey: .top)
        try keys.encode(addresses == .revealed, forKey: .reveal)
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
