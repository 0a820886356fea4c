import DataPlane
import Glibc
import LinuxNetwork
import LinuxSystem
import PacketParse
import Steering

// What a step of a plan does: asks whether it holds, makes it so, takes it back, and says what it is.

extension Plan.Step {
    /// Packets that wait for the loop. A tun drops silently behind these, and 500, the default, are a quarter of a
    /// millisecond.
    private static let queueLength: UInt32 = 4096
    private static let mtu: UInt32 = 65_535

    func holds(_ host: borrowing Host, _ ours: Routing.Ours) throws(KernelError) -> Bool {
        switch self {
        case .rule(let rule): return ours.rules.contains(rule)
        case .route(let route): return ours.routes.contains(route)
        case .program(let program, let name):
            guard let loaded = host.programs[program], let link = try host.netlink.link(named: name) else {
                return false
            }
            return try host.netlink.programNumber(of: Attachment.filter(program), on: link) == loaded.number
        case .port(let side):
            guard let link = try host.netlink.link(named: side.portName) else { return false }
            return link.isUp && link.mtu == Self.mtu && link.transmitQueueLength == Self.queueLength
        case .marks(let cgroup): return host.marks?.cgroup == cgroup
        }
    }

    /// - Returns: whether it can be taken back. A program put in the place of a dead node's cannot: that would open what
    ///   the dead node's closed.
    func make(_ host: borrowing Host) throws(KernelError) -> Bool {
        switch self {
        case .rule(let rule):
            do throws(KernelError) {
                try host.netlink.add(rule)
                return true
            } catch {
                // A kernel without IPv6 routes none.
                guard error.errno == .addressFamilyNotSupported else { throw error }
                return false
            }
        case .route(let route):
            do throws(KernelError) {
                try host.netlink.replace(route)
                return true
            } catch {
                // What comes and goes meanwhile is met by the next look, and a host without IPv6 routes none.
                let harmless = route.destination.address.isV4 ? [] : [EAFNOSUPPORT, EACCES]
                guard ([ENETDOWN, ENODEV] + harmless).contains(error.errno.rawValue) else { throw error }
                return false
            }
        case .program(let program, let name):
            guard let loaded = host.programs[program] else { throw KernelError("bpf", .invalidArgument, name) }
            let link = try present(name, host.netlink)
            let filter = Attachment.filter(program)
            let predecessors = try Attachment.all(on: link, host.netlink)
            try host.netlink.addClsact(to: link)
            if program.direction == .egress, try host.netlink.hooks(of: link) != "clsact" {
                throw KernelError("RTM_NEWQDISC", .fileExists, name)
            }
            do throws(KernelError) {
                if predecessors.contains(where: { $0.isInPlace(of: filter) }) {
                    try host.netlink.replace(filter, on: link, program: loaded.descriptor)
                } else {
                    // Who else stands in our place is not ours to remove.
                    try host.netlink.attach(filter, to: link, program: loaded.descriptor)
                }
            } catch {
                Attachment.removeEmptyHooks(of: link, host.netlink)
                throw error
            }
            return !predecessors.contains { $0.isInPlace(of: filter) }
        case .port(let side):
            let link = try present(side.portName, host.netlink)
            // Silent before it comes up: its own solicitations would meet us as packets of a client.
            try host.netlink.disableAddressGeneration(on: link)
            try host.netlink.setMTU(Self.mtu, of: link)
            try host.netlink.setTransmitQueueLength(Self.queueLength, of: link)
            try host.netlink.bringUp(link)
            return true
        case .marks(let cgroup): return host.marks?.put(on: cgroup) ?? false
        }
    }

    func takeBack(_ host: borrowing Host) {
        switch self {
        case .rule(let rule): try? host.netlink.delete(rule)
        case .route(let route): try? host.netlink.delete(route)
        case .program(let program, let name):
            let filter = Attachment.filter(program)
            guard let link = try? host.netlink.link(named: name),
                let found = try? Attachment.all(on: link, host.netlink), found.contains(filter)
            else { return }
            _ = try? host.netlink.detach(filter, from: link)
            Attachment.removeEmptyHooks(of: link, host.netlink)
        // It goes with the descriptor.
        case .port: break
        case .marks: host.marks?.takeOff()
        }
    }

    private func present(_ name: String, _ netlink: borrowing Netlink) throws(KernelError) -> Link {
        guard let link = try netlink.link(named: name) else {
            throw KernelError("RTM_GETLINK", .noSuchAddressOrDevice, name)
        }
        return link
    }
}

extension Plan.Step: CustomStringConvertible {
    var description: String {
        switch self {
        case .rule(let rule): "\(rule)"
        case .route(let route): "\(route)"
        case .program(let program, let name):
            "eBPF program \(Attachment.filter(program).name) at \(program.direction) of \(name)"
        case .port(let side):
            "tun device \(side.portName) up, with MTU \(Self.mtu), queue \(Self.queueLength), no addresses"
        case .marks(let cgroup): "eBPF programs at cgroup \(cgroup.path), for marks on what tailscaled connects"
        }
    }
}
