import Glibc
import LinuxSystem
import PacketParse

@testable import DataPlane

/// The far ends of the two ports of a running loop.
struct Wires: Sendable {
    let inside: Wire
    let outside: Wire
    let inquiries: Inquiries
}

/// One end of a socket pair: a message is a virtio header and a packet.
struct Wire: Sendable {
    let descriptor: CInt

    func send(_ packet: [UInt8], header: [UInt8] = TestPacket.plainHeader) {
        let message = header + packet
        _ = unsafe message.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    }

    /// The next message, its virtio header included, or none within the time.
    func receiveMessage(milliseconds: Int32 = 2000) -> [UInt8]? {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&entry, 1, milliseconds) > 0 else { return nil }
        var room = [UInt8](repeating: 0, count: 70000)
        let length = unsafe room.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        return length < 0 ? nil : Array(room.prefix(length))
    }

    /// Reads and forgets everything, until the other end is closed.
    func drainInBackground() {
        _ = try? Thread(named: "drain") {
            while let message = receiveMessage(milliseconds: 3000), !message.isEmpty {}
        }
    }

    func receive(milliseconds: Int32 = 2000) -> [UInt8]? {
        receiveMessage(milliseconds: milliseconds).map { Array($0.dropFirst(10)) }
    }
}

func testNAT(
    flows: Int = 1024, range: ClosedRange<UInt16> = 16384...32767, inside: Interface = .inside(),
    outside: Interface = .outside(), clients: Int = ClientTotals.capacity, live: consuming LiveBindings,
    now: UInt32 = LoopClock().seconds
) throws(KernelError) -> NAT {
    let seed = HashSeed(first: 0x1234_5678_9abc_def0, second: 0x0fed_cba9_8765_4321)
    return NAT(
        flows: try FlowTable(capacity: flows, seed: seed, now: now),
        bindings: try Bindings(range: range, live: live, seed: seed),
        fragments: try FragmentTable(seed: seed), clients: try ClientTotals(capacity: clients),
        inside: inside, outside: outside)
}

extension Interface {
    /// The node on the tailnet. Any packet fits, unless a test says otherwise.
    static func inside(mtu: Int = 70_000) -> Interface {
        Interface(v4: IPAddress(TestPacket.node4), v6: IPAddress(TestPacket.node6), mtu: mtu)
    }

    /// The node on the VPN.
    static func outside(mtu: Int = 70_000) -> Interface {
        Interface(v4: IPAddress(TestPacket.exit4), v6: IPAddress(TestPacket.exit6), mtu: mtu)
    }
}

/// What stands in for a tun: messages stay whole, and the near end, which is the port's, never waits.
func socketPair() throws(KernelError) -> (near: CInt, far: CInt) {
    var ends: [CInt] = [-1, -1]
    let answer = unsafe socketpair(AF_UNIX, CInt(SOCK_SEQPACKET.rawValue), 0, &ends)
    try check("socketpair", "port", answer < 0 ? -errno : fcntl(ends[0], F_SETFL, O_NONBLOCK))
    return (ends[0], ends[1])
}

/// Runs a loop on a thread of its own for as long as `body` takes.
func withLoop(
    _ kind: IOKind, flows: Int = 1024, inside: Interface = .inside(), outside: Interface = .outside(),
    _ body: (Wires) throws -> Void
) throws {
    let (insidePort, insideWire) = try socketPair()
    let (outsidePort, outsideWire) = try socketPair()
    let inquiries = try Inquiries()
    let liveWords = LiveWords()
    let thread = try LoopThread(
        inside: Port(adopting: OwnedDescriptor(insidePort), name: "fwd-in", offloads: .all),
        outside: Port(adopting: OwnedDescriptor(outsidePort), name: "fwd-out", offloads: .all),
        nat: try testNAT(flows: flows, inside: inside, outside: outside, live: liveWords.bindings), kinds: [kind],
        inquiries: inquiries)
    defer {
        inquiries.stop()
        try? thread.join()
        for descriptor in [insideWire, outsideWire] { close(descriptor) }
        withExtendedLifetime(liveWords) {}
    }
    try body(
        Wires(
            inside: Wire(descriptor: insideWire), outside: Wire(descriptor: outsideWire), inquiries: inquiries))
}
