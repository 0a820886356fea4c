internal import CNetlink
import Glibc
package import LinuxSystem
import PacketParse

/// A rule of policy routing: which packets, and what becomes of them. Rules are asked in order of preference, the smallest
/// first, until one decides (ip-rule(8)).
package struct Rule: Hashable, Sendable {
    package enum Action: Hashable, Sendable {
        /// Asks a table, and goes on to the next rule where that has no route.
        case lookup(UInt32)
        /// Refuses the packet: its sender is told that the network is unreachable.
        case unreachable
        /// Refuses it in silence.
        case blackhole
        /// Refuses it: its sender is told that an administrator forbids it.
        case prohibit
        /// Goes on with the first rule of that preference, and passes over those between.
        case goto(UInt32)
        /// Goes on with the next rule.
        case nothing
    }

    package var family: AddressFamily
    package var preference: UInt32
    /// The interface that the packets came in by, by name: the rule follows the name from one interface to the next.
    package var incoming: String?
    /// Where the packets go; nil for anywhere.
    package var destination: IPPrefix?
    /// Where they come from; nil for anywhere.
    package var source: IPPrefix?
    package var mark: PacketMark?
    /// Of TCP, UDP and what else has ports. From Linux 4.17.
    package var destinationPort: UInt16?
    /// What else must match, which no rule of ours asks for. Only read: rules are not made with these.
    package var outgoing: String?
    /// The rule is about the packets that do not match.
    package var isInverted = false
    package var action: Action
    /// Who made the rule (`rt_protos`): the kernel keeps it and means nothing by it. From Linux 4.17.
    package var origin: UInt8

    package init(
        _ family: AddressFamily, preference: UInt32, incoming: String? = nil, source: IPPrefix? = nil,
        destination: IPPrefix? = nil, destinationPort: UInt16? = nil, mark: PacketMark? = nil, _ action: Action,
        origin: UInt8
    ) {
        self.family = family
        self.preference = preference
        self.incoming = incoming
        self.source = source
        self.destination = destination
        self.destinationPort = destinationPort
        self.mark = mark
        self.action = action
        self.origin = origin
    }

    /// Nil for an action that the kernel has learned since.
    init?(_ reply: NetlinkReply) {
        guard let header = reply.header(fib_rule_hdr.self) else { return nil }
        let attributes = reply.attributes(after: fib_rule_hdr.self)
        family = CInt(header.family) == AF_INET ? .v4 : .v6
        preference = attributes.integer(FRA_PRIORITY) ?? 0
        incoming = attributes.text(FRA_IIFNAME)
        destination = attributes.octets(FRA_DST).flatMap(IPAddress.init(octets:))
            .flatMap { IPPrefix($0, length: Int(header.dst_len)) }
        source = attributes.octets(FRA_SRC).flatMap(IPAddress.init(octets:))
            .flatMap { IPPrefix($0, length: Int(header.src_len)) }
        mark = attributes.integer(FRA_FWMARK).flatMap { value in
            PacketMark(asked: value, by: attributes.integer(FRA_FWMASK) ?? .max)
        }
        // struct fib_rule_port_range is two 16-bit words, the first and the last.
        let ports = attributes.integer(FRA_DPORT_RANGE, UInt32.self)
        destinationPort = ports.flatMap { $0 & 0xffff == $0 >> 16 ? UInt16($0 >> 16) : nil }
        outgoing = attributes.text(FRA_OIFNAME)
        isInverted = header.flags & UInt32(FIB_RULE_INVERT) != 0
        origin = attributes.integer(FRA_PROTOCOL) ?? 0
        switch Int(header.action) {
        case FR_ACT_TO_TBL:
            action = .lookup(attributes.integer(FRA_TABLE) ?? UInt32(header.table))
        case FR_ACT_UNREACHABLE: action = .unreachable
        case FR_ACT_BLACKHOLE: action = .blackhole
        case FR_ACT_PROHIBIT: action = .prohibit
        case FR_ACT_GOTO: action = .goto(attributes.integer(FRA_GOTO) ?? 0)
        case FR_ACT_NOP: action = .nothing
        default: return nil
        }
    }
}

extension Netlink {
    package func rules(_ family: AddressFamily) throws(KernelError) -> [Rule] {
        var header = fib_rule_hdr()
        header.family = UInt8(family.rawValue)
        return try socket.exchange(NetlinkRequest("RTM_GETRULE", RTM_GETRULE, "rules", flags: NLM_F_DUMP, header))
            .compactMap(Rule.init)
    }

    /// Adds a rule; EEXIST when the same is there already.
    package func add(_ rule: Rule) throws(KernelError) {
        try change("RTM_NEWRULE", RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule)
    }

    /// Deletes the rule that is the same in all that is named here; ENOENT when there is none.
    package func delete(_ rule: Rule) throws(KernelError) { try change("RTM_DELRULE", RTM_DELRULE, 0, rule) }

    private func change(_ call: StaticString, _ type: Int, _ flags: CInt, _ rule: Rule) throws(KernelError) {
        var header = fib_rule_hdr()
        header.family = UInt8(rule.family.rawValue)
        header.dst_len = UInt8(clamping: rule.destination?.length ?? 0)
        header.src_len = UInt8(clamping: rule.source?.length ?? 0)
        header.action = UInt8(rule.action.number)
        var request = NetlinkRequest(call, type, "rule \(rule.preference)", flags: flags, header)
        request.put(FRA_PRIORITY, rule.preference)
        request.put(FRA_PROTOCOL, rule.origin)
        if let incoming = rule.incoming { request.put(FRA_IIFNAME, incoming) }
        if let source = rule.source { request.put(FRA_SRC, source.address.octets) }
        if let destination = rule.destination { request.put(FRA_DST, destination.address.octets) }
        if let port = rule.destinationPort { request.put(FRA_DPORT_RANGE, UInt32(port) << 16 | UInt32(port)) }
        if let mark = rule.mark {
            request.put(FRA_FWMARK, mark.value)
            request.put(FRA_FWMASK, mark.mask)
        }
        switch rule.action {
        case .lookup(let table): request.put(FRA_TABLE, table)
        case .goto(let preference): request.put(FRA_GOTO, preference)
        case .unreachable, .blackhole, .prohibit, .nothing: break
        }
        try socket.exchange(request)
    }
}

extension Rule.Action {
    fileprivate var number: Int {
        switch self {
        case .lookup: FR_ACT_TO_TBL
        case .unreachable: FR_ACT_UNREACHABLE
        case .blackhole: FR_ACT_BLACKHOLE
        case .prohibit: FR_ACT_PROHIBIT
        case .goto: FR_ACT_GOTO
        case .nothing: FR_ACT_NOP
        }
    }
}

extension Rule: CustomStringConvertible {
    /// As ip-rule(8) takes it.
    package var description: String {
        var words = [family == .v4 ? "ip rule" : "ip -6 rule", "preference \(preference)"]
        if let source { words.append("from \(source)") }
        if let destination { words.append("to \(destination)") }
        if let mark { words.append("fwmark \(mark)") }
        if let destinationPort { words.append("dport \(destinationPort)") }
        if let incoming { words.append("iif \(incoming)") }
        switch action {
        case .lookup(let table): words.append("lookup \(Route.name(ofTable: table))")
        case .unreachable: words.append("unreachable")
        case .blackhole: words.append("blackhole")
        case .prohibit: words.append("prohibit")
        case .goto(let preference): words.append("goto \(preference)")
        case .nothing: words.append("nop")
        }
        return words.joined(separator: " ")
    }
}

extension PacketMark {
    /// Nil where no bit is asked.
    fileprivate init?(asked value: UInt32, by mask: UInt32) {
        guard mask != 0 else { return nil }
        self.init(value, mask: mask)
    }
}
