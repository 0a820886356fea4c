import LinuxNetwork
import LinuxSystem

extension Probe {
    static let filters = Probe(
        "filters", "Do other programs and filters meet exit traffic before or after ours?", worst: .error
    ) { surroundings throws(KernelError) in
        let edges = [surroundings.edges.tailnet, surroundings.edges.vpn].compactMap(\.self)
        var findings: [Finding] = []
        if edges.isEmpty {
            findings.append(.notAsked("no edge is there", remedy: "see the findings tailnet and vpn"))
        }
        // First, because one that is an edge too is judged twice, and what the guard would refuse weighs more.
        for uplink in surroundings.edges.uplinks.links {
            if try surroundings.netlink.hooks(of: uplink) == "clsact" {
                findings.append(judge(uplink.name, egress: try surroundings.netlink.filters(on: uplink, .egress)))
            }
            findings.append(try EarlyPrograms(at: uplink, meeting: .tunnels).judgement)
        }
        for edge in edges {
            let hooks = try surroundings.netlink.hooks(of: edge)
            let ingress = try surroundings.netlink.filters(on: edge, .ingress)
            // Asked for its egress, `ingress` lists what is at its ingress.
            let egress = hooks == "ingress" ? [] : try surroundings.netlink.filters(on: edge, .egress)
            findings.append(judge(edge.name, hooks: hooks, ingress: ingress, egress: egress))
            findings.append(try EarlyPrograms(at: edge, meeting: .clients).judgement)
        }
        return findings.max { $0.severity < $1.severity } ?? findings[0]
    }

    /// At an uplink, where the guard comes first or is passed over.
    ///
    /// - Parameter egress: the filters there, in the order in which packets meet them.
    static func judge(_ uplink: String, egress: [Filter]) -> Finding {
        let ours = Attachment.filter(.guardEgress)
        let isThere = egress.contains(ours)
        guard let first = egress.prefix(while: { $0 != ours }).first(where: { $0.priority <= ours.priority }) else {
            return .ok("the guard on \(uplink) comes before all other filters")
        }
        // By its number, because the priority is the guard's as well.
        let number = isThere ? " handle 0x\(String(first.handle, radix: 16)) bpf" : ""
        return .warning(
            "at \(uplink)'s egress packets meet a filter of priority \(first.priority) before the guard, "
                + "which may let pass what that refuses",
            remedy: "tc filter del dev \(uplink) egress prio \(first.priority)\(number)")
    }

    /// - Parameters:
    ///   - hooks: `clsact`, `ingress`, or nothing.
    ///   - ingress: the filters there, in the order in which packets meet them; so `egress`.
    static func judge(_ edge: String, hooks: String?, ingress: [Filter], egress: [Filter]) -> Finding {
        let ours = Attachment.filter(.tailnetIngress).priority
        let earlier = ingress.prefix { !Attachment.isOurs($0) }.filter { $0.priority <= ours }
        if let first = earlier.first {
            return .error(
                "at \(edge)'s ingress a filter has the priority \(first.priority), which ours needs to be first",
                remedy: "tc filter del dev \(edge) ingress prio \(first.priority), "
                    + "and if it is needed add it again with a priority above \(ours)")
        }
        if let first = egress.first(where: { !Attachment.isOurs($0) }) {
            return .warning(
                "at \(edge)'s egress a filter sees what we send, and may drop it",
                remedy: "if it is not meant for that: tc filter del dev \(edge) egress prio \(first.priority)")
        }
        if hooks == "ingress" {
            return .note(
                "\(edge) has an `ingress` qdisc, which serves but has no egress hook",
                remedy: "if nobody needs it: tc qdisc del dev \(edge) ingress")
        }
        let foreign = ingress.filter { !Attachment.isOurs($0) }.count
        return .ok(foreign == 0 ? "no others are there" : "\(foreign) others at \(edge)'s ingress stand behind us")
    }
}
