package import PacketParse

/// One conversation: its identity, the port it borrows, what passed in either direction.
///
/// 128 octets in two cache lines side by side, the first of them all that finding and rewriting need; the neighbour
/// prefetch of the processor brings the second along. Times are seconds of the loop's clock, 0 is never. A super-packet
/// counts as one packet, as in the kernel's own interface counters; octets are those of the IP packet.
package struct Flow: BitwiseCopyable, Sendable {
    // The hot line.
    package var client: IPAddress
    package var remote: IPAddress
    package var clientPort: UInt16
    package var remotePort: UInt16
    package var outsidePort: UInt16
    package var transport: Transport
    package var state: FlowState
    /// What a rewrite of the address alone, and of address and port, adds to a checksum on the way out.
    package var addressDelta: ChecksumDelta
    package var fullDelta: ChecksumDelta
    /// The binding that lends the outside port, plus one; 0 where the port is shared between remotes.
    package var binding: UInt32
    package var lastEgress: UInt32
    package var lastIngress: UInt32
    package var firstEgress: UInt32
    package var firstIngress: UInt32

    // The cold line.
    package var egressPackets: UInt64
    package var egressBytes: UInt64
    package var ingressPackets: UInt64
    package var ingressBytes: UInt64
    package var insideHash: UInt64
    package var outsideHash: UInt64
    private var unused: (UInt64, UInt64)

    init(
        inside: FlowKey, insideHash: UInt64, outside: FlowKey, outsideHash: UInt64, binding: UInt32, state: FlowState,
        now: UInt32
    ) {
        client = inside.local
        remote = inside.remote
        clientPort = inside.localPort
        remotePort = inside.remotePort
        outsidePort = outside.localPort
        transport = inside.transport
        self.state = state
        var delta = ChecksumDelta()
        delta.replace(inside.local, with: outside.local)
        addressDelta = delta
        delta.replace(inside.localPort, with: outside.localPort)
        fullDelta = delta
        self.binding = binding
        lastEgress = now
        lastIngress = 0
        firstEgress = now
        firstIngress = 0
        egressPackets = 0
        egressBytes = 0
        ingressPackets = 0
        ingressBytes = 0
        self.insideHash = insideHash
        self.outsideHash = outsideHash
        unused = (0, 0)
    }

    /// The flow as the tailnet addresses it.
    @inline(always) package var insideKey: FlowKey {
        FlowKey(local: client, remote: remote, localPort: clientPort, remotePort: remotePort, transport: transport)
    }

    /// The second in which the flow ends unless another packet comes.
    @inline(always) var deadline: UInt32 { lastPacket &+ state.timeout(transport) }

    /// The second of the last packet either way.
    @inline(always) package var lastPacket: UInt32 { max(lastEgress, lastIngress) }

    @inline(always) mutating func recordEgress(bytes: Int, flags: TCPFlags, now: UInt32) {
        state = state.afterEgress(transport, flags)
        lastEgress = now
        egressPackets &+= 1
        egressBytes &+= UInt64(truncatingIfNeeded: bytes)
    }

    @inline(always) mutating func recordIngress(bytes: Int, flags: TCPFlags, now: UInt32) {
        state = state.afterIngress(transport, flags)
        if firstIngress == 0 { firstIngress = now }
        lastIngress = now
        ingressPackets &+= 1
        ingressBytes &+= UInt64(truncatingIfNeeded: bytes)
    }
}
