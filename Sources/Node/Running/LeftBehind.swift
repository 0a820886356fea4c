import DataPlane
import LinuxNetwork
import LinuxSystem

/// What of forwarder's is in this network namespace though nobody answers. Looking takes no capability.
enum LeftBehind {
    case nothing
    /// A port goes with its node: one runs that answers on another socket, or one was killed this moment.
    case port
    /// Programs and rules without a node, which drop the exit traffic of the interfaces in `closed`.
    case programs(on: [String], closed: [String])

    static func find() throws(KernelError) -> LeftBehind {
        let netlink = try Netlink()
        if try netlink.link(named: Side.inside.portName) != nil { return .port }
        var interfaces: [String] = []
        var closed: [String] = []
        for link in try netlink.links() {
            let programs = try Attachment.all(on: link, netlink)
            if !programs.isEmpty { interfaces.append(link.name) }
            if programs.contains(where: Attachment.closesExitTraffic) { closed.append(link.name) }
        }
        // A rule names its interface though that is not there.
        for rule in try Rule.ours(netlink) {
            guard let name = rule.incoming else { continue }
            if !interfaces.contains(name) { interfaces.append(name) }
            if rule.action == .unreachable, !closed.contains(name) { closed.append(name) }
        }
        return interfaces.isEmpty ? .nothing : .programs(on: interfaces, closed: closed)
    }
}

extension Refusal {
    /// Nobody answers on a control socket: what that means for exit traffic, and how to go on or to end it.
    init(nobodyAnswersOn controlSocket: String) {
        self.init(nobodyAnswersOn: controlSocket, leaving: try? LeftBehind.find())
    }

    /// - Parameter left: what was found; nil where it could not be asked.
    init(nobodyAnswersOn controlSocket: String, leaving left: LeftBehind?) {
        let nobody = "nobody answers on \(controlSocket)"
        let start = "start one: \(nextCommand("run", controlSocket: controlSocket))"
        let giveBack = "give the host back: \(nextCommand("down", controlSocket: controlSocket))"
        let (because, remedy) =
            switch left {
            case .nothing: (nobody, start)
            case .port:
                (
                    "\(nobody), yet \(Side.inside.portName) is there: a node runs that answers elsewhere",
                    "name its socket with --control-socket, or ask again in a moment if one was stopped just now"
                )
            case .programs(_, let closed) where !closed.isEmpty:
                (
                    "\(nobody); exit traffic from \(closed.joined(separator: ", ")) is dropped, "
                        + "by programs and rules that a node has left there",
                    "\(start), or \(giveBack)"
                )
            case .programs(let interfaces, _):
                (
                    "\(nobody); programs that a node has left are on \(interfaces.joined(separator: ", "))",
                    "\(start), or \(giveBack)"
                )
            case nil:
                ("\(nobody); if a node has left its programs here, exit traffic is dropped", "\(start), or \(giveBack)")
            }
        self.init(couldNot: "reach a running node", because: because, remedy: remedy, exitCode: .unavailable)
    }
}
