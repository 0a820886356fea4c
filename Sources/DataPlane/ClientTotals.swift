package import LinuxSystem
package import PacketParse

/// What each client has moved by flows that have ended, in fixed memory.
///
/// Kept where a flow ends, never where a packet passes: what its live flows have moved is to be added by who asks. When
/// there are more clients than room, one that has moved little gives way; what it had moved is told of the others.
package struct ClientTotals: ~Copyable, Sendable {
    package struct Total: BitwiseCopyable, Sendable {
        /// Unspecified where it is several clients'.
        package fileprivate(set) var client: IPAddress
        package fileprivate(set) var flows: UInt64 = 0
        package fileprivate(set) var egressPackets: UInt64 = 0
        package fileprivate(set) var egressBytes: UInt64 = 0
        package fileprivate(set) var ingressPackets: UInt64 = 0
        package fileprivate(set) var ingressBytes: UInt64 = 0
        /// Seconds of the loop's clock; 0 is never.
        package fileprivate(set) var firstSeen: UInt32 = 0
        package fileprivate(set) var lastSeen: UInt32 = 0
        fileprivate var hash: UInt64

        package init(of client: IPAddress) { self.init(client, hash: 0) }

        fileprivate init(_ client: IPAddress, hash: UInt64) {
            self.client = client
            self.hash = hash
        }

        package var bytes: UInt64 { egressBytes &+ ingressBytes }
    }

    /// Far more than a tailnet has, in 400 kB that are resident only where used.
    package static let capacity = 4_096
    /// How many are looked at for the one that gives way: the loop does not wait for a search of them all.
    private static let looks = 64

    package let capacity: Int
    package private(set) var count = 0
    /// Of clients that gave way.
    package private(set) var others = Total(of: .unspecified)
    private var totals: Slab<Total>
    private var index: HashIndex
    private var hand = 0

    package init(capacity: Int = Self.capacity) throws(KernelError) {
        let totals = try Slab<Total>(count: capacity)
        let index = try HashIndex(slots: capacity)
        self.capacity = capacity
        self.totals = totals
        self.index = index
    }

    /// Adds a flow that has ended.
    ///
    /// - Parameter hash: of its client's address.
    mutating func record(_ flow: Flow, hash: UInt64) {
        let known = index.find(hash) { totals[$0].client == flow.client }
        totals[known ?? begin(flow.client, hash)].add(flow)
    }

    private mutating func begin(_ client: IPAddress, _ hash: UInt64) -> Int {
        let place = count < capacity ? count : makeRoom()
        count = max(count, place + 1)
        totals[place] = Total(client, hash: hash)
        index.insert(hash, place)
        return place
    }

    private mutating func makeRoom() -> Int {
        var least = hand
        for _ in 0..<min(Self.looks, capacity) {
            hand = hand + 1 < capacity ? hand + 1 : 0
            if totals[hand].bytes < totals[least].bytes { least = hand }
        }
        others.add(totals[least])
        index.remove(totals[least].hash, least)
        return least
    }

    /// The totals in a run of places, for whoever shows them; what lies outside is nobody's.
    package func totals(in places: Range<Int>) -> [Total] {
        places.clamped(to: 0..<count).map { totals[$0] }
    }
}

extension ClientTotals.Total {
    /// Adds a flow, as far as it has come.
    package mutating func add(_ flow: Flow) {
        add(
            flows: 1, flow.egressPackets, flow.egressBytes, flow.ingressPackets, flow.ingressBytes,
            first: flow.firstEgress, last: flow.lastPacket)
    }

    /// Adds what was counted elsewhere.
    package mutating func add(_ other: Self) {
        add(
            flows: other.flows, other.egressPackets, other.egressBytes, other.ingressPackets, other.ingressBytes,
            first: other.firstSeen, last: other.lastSeen)
    }

    private mutating func add(
        flows: UInt64, _ egressPackets: UInt64, _ egressBytes: UInt64, _ ingressPackets: UInt64, _ ingressBytes: UInt64,
        first: UInt32, last: UInt32
    ) {
        self.flows &+= flows
        self.egressPackets &+= egressPackets
        self.egressBytes &+= egressBytes
        self.ingressPackets &+= ingressPackets
        self.ingressBytes &+= ingressBytes
        if first != 0 { firstSeen = firstSeen == 0 ? first : min(firstSeen, first) }
        lastSeen = max(lastSeen, last)
    }
}
