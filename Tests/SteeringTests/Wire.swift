import CBPF
import CLinux
import Glibc
import LinuxSystem
import PacketParse
import SystemPackage
import Testing

@testable import Steering

/// A tun device of the test's own, in a namespace: one of our ports, or an L3 edge.
final class Tun {
    let descriptor: OwnedDescriptor

    init(_ name: String, in namespace: Namespace) throws {
        let raw = try namespace.run { () throws(KernelError) in
            let device = OwnedDescriptor(try check("open", "/dev/net/tun", clinux_tun_open_device()))
            try check("TUNSETIFF", name, unsafe name.withCString { unsafe clinux_tun_create(device.raw, $0) })
            try check("TUNSETOFFLOAD", name, clinux_tun_set_offloads(device.raw, UInt32(CLINUX_TUN_OFFLOADS_TCP)))
            return device.surrender()
        }
        descriptor = OwnedDescriptor(raw)
        try command(["ip", "link", "set", name, "addrgenmode", "none", "up"], in: namespace)
    }

    /// - Parameter header: a virtio_net_hdr; all zero says that the packet is complete and no super-packet.
    func send(_ packet: Octets, header: Octets = Octets(repeating: 0, count: 10)) throws {
        let frame = header + packet
        let written = unsafe write(descriptor.raw, frame, frame.count)
        #expect(written == frame.count)
    }

    /// The next IP packet and its virtio_net_hdr; nil after a second without one. What the namespace's own stack has to
    /// say on a new interface (router solicitations, MLD) is not waited for: the devices are silent.
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

    init(at address: String, _ port: UInt16, in namespace: Namespace) throws {
        let family = address.contains(":") ? AF_INET6 : AF_INET
        let raw = try namespace.run { () throws(KernelError) in
            let number = socket(family, Int32(SOCK_DGRAM.rawValue), 0)
            let socket = OwnedDescriptor(try check("socket", address, number < 0 ? -errno : number))
            let bound = unsafe withSocketAddress(address, port) { unsafe bind(socket.raw, $0, $1) }
            try check("bind", address, bound < 0 ? -errno : 0)
            return socket.surrender()
        }
        descriptor = OwnedDescriptor(raw)
    }

    func send(_ data: Octets, to address: String, _ port: UInt16) {
        let sent = unsafe withSocketAddress(address, port) { unsafe sendto(descriptor.raw, data, data.count, 0, $0, $1) }
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

/// Whether tuns can be made here.
let canMakeTuns = unsafe access("/dev/net/tun", R_OK | W_OK) == 0 && geteuid() == 0

/// Runs a program to its end and expects success.
func command(_ arguments: [String], in namespace: Namespace) throws {
    let child = try ChildProcess(arguments, in: namespace)
    let ending = child.wait(upTo: .seconds(10))
    #expect(ending == .exited(0), "\(arguments.joined(separator: " ")): \(child.standardError)")
}

func interfaceIndex(_ name: String, in namespace: Namespace) throws -> Int32 {
    try namespace.run { () throws(KernelError) in
        let index = unsafe if_nametoindex(name)
        return Int32(try check("if_nametoindex", name, index == 0 ? -errno : CInt(index)))
    }
}

extension Steering {
    /// Attached and configured for the interfaces `tailnet`, `vpn`, `fwd-in` and `fwd-out` of a namespace.
    func open(in namespace: Namespace, ethernet: Bool) throws {
        let places: [(Program, String)] = [
            (.tailnetIngress, "tailnet"), (.vpnIngress, "vpn"), (.insidePortIngress, "fwd-in"),
            (.outsidePortIngress, "fwd-out"),
        ]
        let index = try places.map { try interfaceIndex($0.1, in: namespace) }
        configure(
            Ways(
                tailnet: Edge(index: index[0], isEthernet: ethernet), vpn: Edge(index: index[1], isEthernet: ethernet),
                insidePort: index[2], outsidePort: index[3], exitIPv4: address("203.0.113.5"),
                exitIPv6: address("2001:db8:5::5")))
        for (place, index) in zip(places, index) {
            let descriptor = program(place.0).descriptor
            try namespace.run { () throws(KernelError) in
                try attachToIngress(descriptor, of: index, named: place.1)
            }
        }
    }

    func count(of verdict: String) throws -> UInt64? { try verdicts().first { $0.name == verdict }?.packets }
}

private func attachToIngress(_ descriptor: CInt, of index: Int32, named name: String) throws(KernelError) {
    var hook = bpf_tc_hook()
    hook.sz = MemoryLayout<bpf_tc_hook>.size
    hook.ifindex = index
    hook.attach_point = BPF_TC_INGRESS
    try check("RTM_NEWQDISC", name, unsafe bpf_tc_hook_create(&hook))
    var options = bpf_tc_opts()
    options.sz = MemoryLayout<bpf_tc_opts>.size
    options.prog_fd = descriptor
    try check("RTM_NEWTFILTER", name, unsafe bpf_tc_attach(&hook, &options))
}
