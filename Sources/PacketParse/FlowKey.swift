/// The identity of a conversation, the same for both directions: `local` is the side that opened it.
///
/// For an ICMP echo the request's identifier stands in the place of the local port.
public struct FlowKey: Hashable, Sendable, BitwiseCopyable {
    public let local: IPAddress
    public let remote: IPAddress
    public let localPort: UInt16
    public let remotePort: UInt16
    public let transport: Transport

    @inlinable @inline(__always)
    public init(local: IPAddress, remote: IPAddress, localPort: UInt16, remotePort: UInt16, transport: Transport) {
        self.local = local
        self.remote = remote
        self.localPort = localPort
        self.remotePort = remotePort
        self.transport = transport
    }

    /// The key of a packet that the local side sent.
    @inlinable @inline(__always)
    public static func outbound(_ packet: PacketSummary) -> FlowKey {
        FlowKey(
            local: packet.source, remote: packet.destination,
            localPort: packet.sourcePort, remotePort: packet.destinationPort, transport: packet.transport)
    }

    /// The key of a packet that the remote side sent.
    @inlinable @inline(__always)
    public static func inbound(_ packet: PacketSummary) -> FlowKey {
        FlowKey(
            local: packet.destination, remote: packet.source,
            localPort: packet.destinationPort, remotePort: packet.sourcePort, transport: packet.transport)
    }

    /// Without branches: keys that reach a comparison are nearly always equal.
    @inlinable @inline(__always)
    public static func == (left: FlowKey, right: FlowKey) -> Bool {
        (left.local.bits ^ right.local.bits) | (left.remote.bits ^ right.remote.bits)
            | UInt128(left.tail ^ right.tail) == 0
    }

    /// Ports and transport in one word.
    @inlinable @inline(__always)
    var tail: UInt64 { UInt64(localPort) << 32 | UInt64(remotePort) << 16 | UInt64(transport.rawValue) }
}

/// The secret of one flow table: whoever does not know it cannot choose packets that collide.
public struct HashSeed: Sendable, BitwiseCopyable {
    public let first: UInt64
    public let second: UInt64

    public init(first: UInt64, second: UInt64) {
        self.first = first
        self.second = second
    }

    /// A seed from the system's random numbers.
    public static func random() -> HashSeed {
        HashSeed(first: .random(in: .min ... .max), second: .random(in: .min ... .max))
    }
}

extension FlowKey {
    /// A hash of which every bit may be used, by folded multiplications as in wyhash.
    @inlinable @inline(__always)
    public func hash(seed: HashSeed) -> UInt64 {
        // Two independent products, which the processor overlaps, then one over both. The last one is for ports that
        // count up: with the addresses fixed they would otherwise pass through a single product, whose low bits do not
        // see high ones.
        let ours = folded(high(local) ^ seed.first, low(local) ^ seed.second)
        let theirs = folded(high(remote) ^ seed.second, low(remote) ^ seed.first)
        return folded(folded(ours ^ tail, theirs) ^ seed.first, 0x9e37_79b9_7f4a_7c15)
    }

    @inlinable @inline(__always)
    func high(_ address: IPAddress) -> UInt64 { UInt64(truncatingIfNeeded: address.bits >> 64) }

    @inlinable @inline(__always)
    func low(_ address: IPAddress) -> UInt64 { UInt64(truncatingIfNeeded: address.bits) }

    @inlinable @inline(__always)
    func folded(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }
}
