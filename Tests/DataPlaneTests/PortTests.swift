import Glibc
import LinuxNetwork
import LinuxSystem
import PacketParse
import Synchronization
import SystemPackage
import Testing

@testable import DataPlane

private let isRoot = geteuid() == 0
private let needsRoot: Comment = "a tun device of the test's own needs root"

/// Ports on real tun devices, in a namespace that ends with the test.
struct PortTests {
    @Test(.enabled(if: isRoot, needsRoot))
    func `a port offers what the kernel takes, and less when told so`() throws {
        let namespace = try Namespace {}
        let offered = try namespace.run { () throws(KernelError) -> [Port.Offloads] in
            var port = try Port(creating: "fwd-test")
            let first = port.offloads
            port.degrade(to: .noUSO)
            let second = port.offloads
            port.degrade(to: .all)
            let unchanged = port.offloads
            port.degrade(to: .none)
            return [first, second, unchanged, port.offloads]
        }
        #expect(offered == [.all, .noUSO, .noUSO, .none])
    }

    @Test(.enabled(if: isRoot, needsRoot))
    func `a name in use is refused, and free again when its port has ended`() throws {
        let namespace = try Namespace {}
        let refusal = try namespace.run { () throws(KernelError) -> KernelError? in
            do {
                let first = try Port(creating: "fwd-test")
                do throws(KernelError) { _ = try Port(creating: "fwd-test") } catch {
                    withExtendedLifetime(first.descriptor.raw) {}
                    return error
                }
            }
            return nil
        }
        #expect(refusal?.errno == .resourceBusy)
        #expect(refusal?.subject == "fwd-test")
        try namespace.run { () throws(KernelError) in _ = try Port(creating: "fwd-test") }
    }

    @Test(.enabled(if: isRoot, needsRoot))
    func `the self-test finds that this kernel takes what it offers`() throws {
        let namespace = try Namespace {}
        let accepted = try namespace.run { () throws(KernelError) -> Port.Offloads in
            let port = try Port(creating: "fwd-test")
            try bringUp("fwd-test")
            return port.accepted()
        }
        #expect(accepted == .all)
    }

    /// A checksum that is to begin with the IP header: the kernel refuses such a super-packet with EINVAL, as broken
    /// kernels do with good ones.
    private static func refusable(_ packet: TestPacket, type: UInt8, size: UInt16) -> (header: [UInt8], octets: [UInt8])
    {
        let words = [UInt16(0), size, 0, 16].flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
        return ([1, type] + words, packet.with { $0.checksum = .partial }.octets)
    }

    @Test(.enabled(if: isRoot, needsRoot), arguments: [true, false])
    func `a super-packet that a port refuses is written in pieces, and the other port stops delivering its kind`(
        isTCP: Bool
    ) throws {
        let payload = [UInt8](repeating: 7, count: 3001)
        let packet: TestPacket =
            isTCP
            ? .tcp(from: TestPacket.client4, 5000, to: TestPacket.remote4, 443, payload: payload)
            : .udp(from: TestPacket.client4, 5000, to: TestPacket.remote4, 443, payload: payload)
        let message = Self.refusable(packet, type: isTCP ? 1 : 5, size: 1000)
        let plain = TestPacket.udp(from: TestPacket.client4, 5000, to: TestPacket.remote4, 443)

        try withRealPorts { inside, inquiries, received in
            inside.send(message.octets, header: message.header)
            let split = try inquiries.settledSnapshot()
            #expect(split.statistics.superPacketsSplit == 1)
            #expect(split.offloads.inside == (isTCP ? .none : .noUSO))
            #expect(split.offloads.outside == .all)
            // Four pieces of at most 1000 octets, with their headers.
            let pieces = try received()
            #expect(pieces == Counters(packets: 4, octets: 3001 + 4 * (isTCP ? 40 : 28)))
            #expect(split.statistics.egress.packets == 4)
            #expect(split.statistics.egress.bytes == pieces.octets)
            #expect(split.statistics.egress.superPackets == 0)
            // An ordinary packet follows, and one that the kernel refuses for good.
            inside.send(plain.octets)
            inside.send(plain.octets, header: [1, 0, 0, 0, 0, 0] + [0, 0] + [6, 0])
            let after = try inquiries.settledSnapshot()
            #expect(after.statistics.superPacketsSplit == 1)
            #expect(after.statistics.dropped(.refused(.writeRefused)) == 1)
            let all = try received()
            #expect(all == Counters(packets: 5, octets: pieces.octets + plain.octets.count))
        }
    }
}

extension Inquiries {
    /// The loop's state when all that was sent before has been looked at: a first answer may come from the round before.
    fileprivate func settledSnapshot() throws -> Snapshot {
        _ = try ask { _, snapshot in snapshot }
        return try #require(try ask { _, snapshot in snapshot })
    }
}

/// What a device has received.
private struct Counters: Equatable, Sendable {
    var packets: Int
    var octets: Int
}

private func bringUp(_ name: String) throws(KernelError) {
    let netlink = try Netlink()
    guard let link = try netlink.link(named: name) else {
        throw KernelError("RTM_GETLINK", .noSuchFileOrDirectory, name)
    }
    // Silent: else the kernel's own neighbour messages would come out of the port.
    try netlink.disableAddressGeneration(on: link)
    try netlink.bringUp(link)
}

/// Runs a loop whose ports are real tuns and which reads its inside packets from a socket pair: so a test chooses headers
/// that no kernel would deliver, and the kernel judges what is written.
private func withRealPorts(
    _ body: (_ inside: Wire, _ inquiries: Inquiries, _ received: () throws -> Counters) throws -> Void
) throws {
    let (near, far) = try socketPair()
    defer { for descriptor in [near, far] { close(descriptor) } }
    let namespace = try Namespace {}
    let inquiries = try Inquiries()
    let words = LiveWords()
    let failure = Mutex<String?>(nil)
    let loop = try Thread(named: "loop") {
        do {
            try namespace.run { () throws(KernelError) in
                let inside = try Port(creating: "fwd-in")
                let outside = try Port(creating: "fwd-out")
                try bringUp("fwd-out")
                let ports = PortDescriptors(
                    inside: near, outside: outside.descriptor.raw, wake: inquiries.wakeDescriptor)
                var loop = try Loop(
                    io: PollIO(ports: ports, slots: 16), inside: inside, outside: outside,
                    nat: testNAT(live: words.bindings), clock: LoopClock(), inquiries: inquiries)
                try loop.run()
            }
        } catch {
            failure.withLock { $0 = "\(error)" }
        }
    }
    defer { withExtendedLifetime(words) {} }
    do {
        try body(Wire(descriptor: far), inquiries) { try received(by: "fwd-out", in: namespace) }
    } catch {
        inquiries.stop()
        loop.join()
        throw error
    }
    inquiries.stop()
    loop.join()
    #expect(failure.withLock { $0 } == nil)
}

/// From the kernel's table of devices: octets and packets are a device's first two numbers.
private func received(by name: String, in namespace: Namespace) throws -> Counters {
    let table = try namespace.run { () throws(KernelError) -> String in
        let file = unsafe open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        var room = [UInt8](repeating: 0, count: 4096)
        let length = unsafe room.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        return String(decoding: room.prefix(max(0, length)), as: UTF8.self)
    }
    let line = try #require(table.split(separator: "\n").first { $0.contains("\(name):") })
    let numbers = line.split(separator: ":")[1].split(separator: " ").compactMap { Int($0) }
    return Counters(packets: numbers[1], octets: numbers[0])
}
