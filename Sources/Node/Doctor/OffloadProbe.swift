import DataPlane
import LinuxNetwork
import LinuxSystem
import Steering

extension Probe {
    static let offloads = Probe(
        "offloads", "Which super-packets does a port take whole?", worst: .warning
    ) { surroundings throws(KernelError) in
        if let ports = surroundings.status?.ports {
            return judge(ports.inside.offloads.lowest(ports.outside.offloads), of: "the ports of the node that runs")
        }
        if surroundings.isNodeThere { return .notAsked("a node runs, and its packets come first") }
        guard surroundings.missingCapabilities.isEmpty else { return surroundings.incapable }
        return judge(try trial(surroundings.netlink), of: "a port made for trial")
    }

    /// Writes trial packets into a port at which the programs stand, closed: they end there.
    private static func trial(_ netlink: borrowing Netlink) throws(KernelError) -> Port.Offloads {
        let steering: Steering
        do throws(LoadRefusal) { steering = try Steering() } catch { throw error.cause }
        let port = try Port(creating: "fwd-doctor")
        guard let link = try netlink.link(named: port.name) else {
            throw KernelError("RTM_GETLINK", .noSuchAddressOrDevice, port.name)
        }
        try netlink.addClsact(to: link)
        try netlink.attach(
            Attachment.filter(.insidePortIngress), to: link, program: steering.loaded(.insidePortIngress).descriptor)
        try netlink.disableAddressGeneration(on: link)
        try netlink.bringUp(link)
        return port.accepted().lowest(port.offloads)
    }

    static func judge(_ offloads: Port.Offloads, of port: String) -> Finding {
        switch offloads {
        case .all: .ok("\(port) took TCP and UDP super-packets")
        case .noUSO:
            .note(
                "\(port) took super-packets of TCP and not of UDP, which are cut in software",
                remedy: "use Linux 6.2 or newer, if UDP is to be as fast")
        case .none:
            .warning(
                "\(port) took no super-packets, so all are cut in software",
                remedy: "use another kernel: 6.1.103, 6.6.44, 6.10.3 and those derived from them have a bug here")
        }
    }
}

extension Port.Offloads {
    /// The lower rung of two.
    fileprivate func lowest(_ other: Port.Offloads) -> Port.Offloads {
        var rung: Port.Offloads? = self
        while let higher = rung, higher != other { rung = higher.lower }
        return rung == nil ? self : other
    }
}
