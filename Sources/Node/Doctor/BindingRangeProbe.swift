extension Probe {
    static let bindingRange = Probe(
        "binding_range", "Are the ports that flows borrow none that the host gives to its own sockets?", worst: .warning
    ) { surroundings in
        guard let text = kernelText("/proc/sys/net/ipv4/ip_local_port_range"), let own = PortRange(blankSeparated: text)
        else { return .notAsked("/proc/sys/net/ipv4/ip_local_port_range cannot be read") }
        return judge(
            surroundings.settings.bindingPorts, own: own,
            reserved: kernelText("/proc/sys/net/ipv4/ip_local_reserved_ports") ?? "")
    }

    /// - Parameters:
    ///   - own: from which the host takes ports for its own sockets, but for the reserved.
    ///   - reserved: as the kernel lists it, `8080,9000-9010`.
    static func judge(_ ports: PortRange, own: PortRange, reserved: String) -> Finding {
        let first = max(ports.first, own.first)
        let last = min(ports.last, own.last)
        guard first <= last else { return .ok("\(ports) is apart from the host's own \(own)") }
        let ranges = reserved.split(separator: ",").compactMap { PortRange(listed: $0) }
        if (first...last).allSatisfy({ port in ranges.contains { ($0.first...$0.last).contains(port) } }) {
            return .ok("of the host's own \(own) what \(ports) needs is reserved")
        }
        let overlap = PortRange(first: first, last: last)
        let list = (reserved.isEmpty ? "" : reserved + ",") + "\(overlap)"
        let apart = own.largestApart.map { ", or FORWARDER_BINDING_PORTS=\($0)" } ?? ""
        return .warning(
            "\(ports) and the host's own \(own) share \(overlap), where a new socket of the host meets a flow",
            remedy: "sysctl -w net.ipv4.ip_local_reserved_ports=\(list)\(apart)")
    }
}

extension PortRange {
    /// `32768    60999`, as the kernel writes a range.
    init?(blankSeparated text: String) {
        let ends = text.split(whereSeparator: \.isWhitespace).compactMap { UInt16($0) }
        guard ends.count == 2, ends[0] <= ends[1] else { return nil }
        self.init(first: ends[0], last: ends[1])
    }

    /// `8080` or `9000-9010`, as the kernel lists ranges.
    fileprivate init?(listed text: Substring) {
        let ends = text.split(separator: "-").compactMap { UInt16($0) }
        guard let first = ends.first, let last = ends.last, first <= last else { return nil }
        self.init(first: first, last: last)
    }

    /// The larger of the ranges below and above this one, at most as many ports as the default has.
    fileprivate var largestApart: PortRange? {
        let most = UInt16(16_384)
        let below = first > 1_024 ? first - 1_024 : 0
        let above = UInt16.max - last
        if below == 0, above == 0 { return nil }
        if below >= above { return PortRange(first: first - min(below, most), last: first - 1) }
        return PortRange(first: last + 1, last: last + min(above, most))
    }
}
