import CLinux
import Glibc
import Lab
import LinuxNetwork
import LinuxSystem
import PacketParse
import SystemPackage
import Testing

@testable import Steering

/// A tun device of the test's own, in a namespace: one of our ports, or an L3 edge.
final class Tun {
    let descriptor: OwnedDescriptor

    init(_ name: String, in host: LabHost) throws {
        let raw = try host.namespace.run { () throws(KernelError) in
            let device = OwnedDescriptor(try check("open", "/dev/net/tun", clinux_tun_open_device()))
            try check("TUNSETIFF", name, unsafe name.withCString { unsafe clinux_tun_create(device.raw, $0) })
            try check("TUNSETOFFLOAD", name, clinux_tun_set_offloads(device.raw, UInt32(CLINUX_TUN_OFFLOADS_TCP)))
            return device.surrender()
        }
        descriptor = OwnedDescriptor(raw)
        // Or its own listener reports and router solicitations would be read where packets are expected.
        try host.set("net/ipv6/conf/\(name)/disable_ipv6", to: "1")
        try host.ip("link set \(name) up")
    }

    /// - Parameter header: a virtio_net_hdr; all zero says that the packet is complete and no super-packet.
    func send(_ packet: Octets, header: Octets = Octets(repeating: 0, count: 10)) {
        let frame = header + packet
        let written = unsafe write(descriptor.raw, frame, frame.count)
        #expect(written == frame.count)
    }

    /// The next packet and its virtio_net_hdr; nil when none comes in time.
    func receive(within milliseconds: CInt = 1000) -> (header: Octets, packet: Octets)? {
        var readable = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&readable, 1, milliseconds) == 1 else { return nil }
        var buffer = Octets(repeating: 0, count: 65_536 + 10)
        let length = unsafe read(descriptor.raw, &buffer, buffer.count)
        guard length >= 10 else { return nil }
        return (Octets(buffer[0..<10]), Octets(buffer[10..<length]))
    }
}

/// A UDP socket that lives in a namespace.
final class UDPSocket {
    let descriptor: OwnedDescriptor

    init(at address: String, _ port: UInt16, in host: LabHost) throws {
        let family = address.contains(":") ? AF_INET6 : AF_INET
        let raw = try host.namespace.run { () throws(KernelError) in
            let number = socket(family, Int32(SOCK_DGRAM.rawValue), 0)
            let socket = OwnedDescriptor(try check("socket", address, number < 0 ? -errno : number))
            let bound = unsafe withSocketAddress(address, port) { unsafe bind(socket.raw, $0, $1) }
            try check("bind", address, bound < 0 ? -errno : 0)
            return socket.surrender()
        }
        descriptor = OwnedDescriptor(raw)
    }

    func send(_ data: Octets, to address: String, _ port: UInt16) {
        let sent = unsafe withSocketAddress(address, port) {
            unsafe sendto(descriptor.raw, data, data.count, 0, $0, $1)
        }
        #expect(sent == data.count)
    }

    func receive(within milliseconds: CInt = 1000) -> Octets? {
        var readable = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&readable, 1, milliseconds) == 1 else { return nil }
        var buffer = Octets(repeating: 0, count: 65_536)
        let length = unsafe recv(descriptor.raw, &buffer, buffer.count, 0)
        return length < 0 ? nil : Octets(buffer[0..<length])
    }
}

/// `sockaddr_in` or `sockaddr_in6`, octet by octet: the family is the host's order, all else is the network's.
private func withSocketAddress(
    _ address: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> some SignedInteger
) -> Int {
    let octets =
        address.contains(":")
        ? [UInt8(AF_INET6), 0] + big(port) + [0, 0, 0, 0] + octets(address) + [0, 0, 0, 0]
        : [UInt8(AF_INET), 0] + big(port) + octets(address) + Octets(repeating: 0, count: 8)
    return unsafe octets.withUnsafeBytes { raw in
        unsafe Int(body(raw.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(octets.count)))
    }
}

/// Attached and configured for a node's edges and ports, `fwd-in` and `fwd-out`.
extension Steering {
    func steer(_ node: Namespace, tailnet: String, vpn: String, exits: (v4: String, v6: String)) throws {
        let names = [tailnet, vpn, "fwd-in", "fwd-out"]
        let programs = zip([Program.tailnetIngress, .vpnIngress, .insidePortIngress, .outsidePortIngress], names).map {
            ($0, loaded($0).descriptor, $1)
        }
        let links = try node.run { () throws(KernelError) in
            let netlink = try Netlink()
            var links: [Link] = []
            for (program, descriptor, name) in programs {
                guard let link = try netlink.link(named: name) else {
                    throw KernelError("RTM_GETLINK", .noSuchFileOrDirectory, name)
                }
                try netlink.addClsact(to: link)
                let filter = Filter(program.rawValue, .ingress, priority: 1, handle: 1)
                try netlink.attach(filter, to: link, program: descriptor)
                links.append(link)
            }
            return links
        }
        configure(
            Ways(
                tailnet: Ways.Edge(index: links[0].index, isEthernet: links[0].isEthernet),
                vpn: Ways.Edge(index: links[1].index, isEthernet: links[1].isEthernet), insidePort: links[2].index,
                outsidePort: links[3].index, exitIPv4: IPAddress(exits.v4), exitIPv6: IPAddress(exits.v6)))
    }
}
