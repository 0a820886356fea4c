package import LinuxSystem
import PacketParse

/// Packets that wait their turn: flow queues with controlled delay (FQ-CoDel, RFC 8290) in two levels.
///
/// Clients take turns, and within a client its flows do: a client with a hundred flows gets no more than one with a
/// single flow, and whoever sends little goes ahead at either level. Turns are deficit round robin with the RFC's lists
/// of new and old. Everything is bounded and made in advance: when there is no more room, the longest queue of the
/// client with the most in its queues gives way, from the front.
///
/// Queues are found by the whole hash, not by a part of it: no two flows share one while there are queues for all.
/// Beyond that a client's further flows share one queue of its own, and beyond 256 clients with packets these share
/// each other's.
package struct FairQueue: ~Copyable {
    package static let clientCount = 256
    /// The first 256 are for what has no queue to itself, one per client.
    package static let flowCount = 1024

    struct ClientQueues: BitwiseCopyable {
        var hash: UInt64
        var backlog: Int
        var deficit: Int
    }

    struct FlowQueue: BitwiseCopyable {
        var hash: UInt64
        var backlog: Int
        var deficit: Int
        var client: Int
        var codel: CoDel
    }

    struct Packet: BitwiseCopyable {
        var since: UInt64
        /// Octets, the virtio header's included.
        var length: UInt32
        /// Octets of IP on the wire: of all the packets that a super-packet stands for.
        var wireLength: UInt32
        var tag: UInt8
    }

    /// A packet that has had its turn, out of the queue and not yet out of memory.
    package struct Departure: ~Copyable {
        let packet: Int
        /// Octets, the virtio header's included.
        package let length: Int
        /// Octets of IP on the wire.
        package let wireLength: Int
        /// As it was given.
        package let tag: UInt8

        fileprivate consuming func surrender() -> Int {
            let number = packet
            discard self
            return number
        }

        deinit { assertionFailure("packet \(packet) is lost") }
    }

    /// What became of packets, apart from those that left; nothing here is a packet that still waits.
    package struct Losses: BitwiseCopyable, Sendable {
        /// There was no room.
        package internal(set) var overflowed: UInt64 = 0
        /// To tell a sender of congestion.
        package internal(set) var dropped: UInt64 = 0
        package internal(set) var cleared: UInt64 = 0
    }

    // Lists of clients: those without packets, the one longest so first, and those that take turns.
    private static let idle = 0
    private static let new = 1
    private static let old = 2

    /// What each queue is held to; nothing is dropped or marked without it.
    package var law: CoDel.Law?
    /// Octets that a client, and a flow of it, may send in a turn.
    package var quantum = 1514
    /// Octets on the wire that may wait in all. The store bounds them too.
    package var limit: Int

    package private(set) var count = 0
    package private(set) var backlog = 0
    package private(set) var losses = Losses()
    package private(set) var marked: UInt64 = 0
    package private(set) var delay = QueueDelay()

    var store: PacketStore
    private var packets: Slab<Packet>
    private var packetLists: SlotLists
    private var flows: Slab<FlowQueue>
    private var flowIndex: HashIndex
    private var flowLists: SlotLists
    private var flowsUsed = FairQueue.clientCount
    private var clients: Slab<ClientQueues>
    private var clientIndex: HashIndex
    private var clientLists: SlotLists
    private var clientsUsed = 0

    /// - Parameter memory: octets for packets.
    package init(memory: Int) throws(KernelError) {
        let cells = memory / PacketStore.cellSize
        let store = try PacketStore(cells: cells)
        let packets = try Slab<Packet>(count: cells)
        let packetLists = try SlotLists(slots: cells, lists: Self.flowCount)
        let flows = try Slab<FlowQueue>(count: Self.flowCount)
        let flowIndex = try HashIndex(slots: Self.flowCount)
        let flowLists = try SlotLists(slots: Self.flowCount, lists: 1 + 2 * Self.clientCount)
        let clients = try Slab<ClientQueues>(count: Self.clientCount)
        let clientIndex = try HashIndex(slots: Self.clientCount)
        let clientLists = try SlotLists(slots: Self.clientCount, lists: 3)
        self.store = store
        self.packets = packets
        self.packetLists = packetLists
        self.flows = flows
        self.flowIndex = flowIndex
        self.flowLists = flowLists
        self.clients = clients
        self.clientIndex = clientIndex
        self.clientLists = clientLists
        limit = memory
    }

    // MARK: Enqueue

    /// Copies a packet to the end of its flow's queue. Others may have to go for it, and it when there is no room at
    /// all.
    ///
    /// - Parameters:
    ///   - octets: virtio header and packet; only read.
    ///   - wireLength: octets of IP on the wire.
    ///   - client: a seeded hash of its address; `flow`: of all that names the flow, that address included.
    ///   - tag: what whoever takes it out should know of it.
    package mutating func enqueue(
        _ octets: inout MutableRawSpan, wireLength: Int, client: UInt64, flow: UInt64, tag: UInt8 = 0, now: UInt64
    ) {
        while backlog + wireLength > limit || store.cellsFree < PacketStore.cells(for: octets.byteCount) {
            guard dropFromLongest() else { break }
        }
        guard let packet = store.store(&octets) else {
            losses.overflowed &+= 1
            return
        }
        packets[packet] = Packet(
            since: now, length: UInt32(truncatingIfNeeded: octets.byteCount),
            wireLength: UInt32(truncatingIfNeeded: wireLength), tag: tag)
        let queue = flowQueue(for: flow, of: client)
        packetLists.append(packet, to: queue)
        add(wireLength, 1, to: queue)
        activate(queue)
    }

    private mutating func add(_ octets: Int, _ packets: Int, to queue: Int) {
        flows[queue].backlog &+= octets
        clients[flows[queue].client].backlog &+= octets
        backlog &+= octets
        count &+= packets
    }

    /// A queue that took no turns joins the new ones of its client, and that client the new ones of all.
    private mutating func activate(_ queue: Int) {
        guard isIdle(queue) else { return }
        let client = flows[queue].client
        flows[queue].deficit = quantum
        flowLists.append(queue, to: Self.newFlows(of: client))
        guard (clientLists.list(of: client) ?? Self.idle) == Self.idle else { return }
        clients[client].deficit = quantum
        clientLists.append(client, to: Self.new)
    }

    @inline(always) private func isIdle(_ queue: Int) -> Bool { (flowLists.list(of: queue) ?? Self.idle) == Self.idle }

    // Lists of flows: those without packets, then a pair per client.
    private static func newFlows(of client: Int) -> Int { 1 &+ 2 &* client }
    private static func oldFlows(of client: Int) -> Int { 2 &+ 2 &* client }

    // MARK: Queues

    /// The queue of a flow: the one it has, else a free one, else the one in which its client keeps what has none. As
    /// long as that has packets the flow's may be among them, and the flow stays there.
    private mutating func flowQueue(for flow: UInt64, of client: UInt64) -> Int {
        let known = find(flow)
        if let known, !isIdle(known) { return known }
        let client = clientSlot(for: client)
        if let known {
            flows[known].client = client
            return known
        }
        guard flows[client].backlog == 0, let free = freeFlowQueue() else {
            flows[client].client = client
            return client
        }
        flows[free] = FlowQueue(hash: flow, backlog: 0, deficit: 0, client: client, codel: CoDel())
        flowIndex.insert(flow, free)
        return free
    }

    private func find(_ flow: UInt64) -> Int? { flowIndex.find(flow) { flows[$0].hash == flow } }

    private func find(client: UInt64) -> Int? { clientIndex.find(client) { clients[$0].hash == client } }

    /// One never used, else the one longest without a packet: what controlled delay knows of a flow is kept for as long
    /// as there is room.
    private mutating func freeFlowQueue() -> Int? {
        if flowsUsed < Self.flowCount {
            flowsUsed &+= 1
            return flowsUsed &- 1
        }
        guard let queue = flowLists.first(of: Self.idle) else { return nil }
        flowIndex.remove(flows[queue].hash, queue)
        flowLists.remove(queue)
        return queue
    }

    private mutating func clientSlot(for hash: UInt64) -> Int {
        if let known = find(client: hash) { return known }
        let slot: Int
        if clientsUsed < Self.clientCount {
            slot = clientsUsed
            clientsUsed &+= 1
        } else if let free = clientLists.first(of: Self.idle) {
            slot = free
            clientIndex.remove(clients[slot].hash, slot)
            clientLists.remove(slot)
        } else {
            return Int(truncatingIfNeeded: hash % UInt64(Self.clientCount))
        }
        clients[slot] = ClientQueues(hash: hash, backlog: 0, deficit: 0)
        clientIndex.insert(hash, slot)
        return slot
    }

    // MARK: Dequeue

    /// The packet whose turn it is.
    package mutating func dequeue(now: UInt64) -> Departure? {
        while let client = clientLists.first(of: Self.new) ?? clientLists.first(of: Self.old) {
            guard clients[client].deficit > 0 else {
                clients[client].deficit &+= quantum
                clientLists.append(client, to: Self.old)
                continue
            }
            guard let queue = turn(of: client) else {
                retire(client)
                continue
            }
            guard let packet = next(of: queue, now) else {
                retire(queue, of: client)
                continue
            }
            let departure = Departure(
                packet: packet, length: Int(packets[packet].length), wireLength: Int(packets[packet].wireLength),
                tag: packets[packet].tag)
            clients[client].deficit &-= departure.wireLength
            flows[queue].deficit &-= departure.wireLength
            delay.record(now &- packets[packet].since, now: now)
            return departure
        }
        return nil
    }

    /// The queue of a client that may send: new ones before old ones.
    private mutating func turn(of client: Int) -> Int? {
        let (new, old) = (Self.newFlows(of: client), Self.oldFlows(of: client))
        while let queue = flowLists.first(of: new) ?? flowLists.first(of: old) {
            if flows[queue].deficit > 0 { return queue }
            flows[queue].deficit &+= quantum
            flowLists.append(queue, to: old)
        }
        return nil
    }

    /// What is new and has no more packets must wait among the old ones once: by sending in small portions it would
    /// else be ahead of them for ever (RFC 8290 section 4.2).
    private mutating func retire(_ client: Int) {
        let mustWait = clientLists.list(of: client) == Self.new && clientLists.first(of: Self.old) != nil
        clientLists.append(client, to: mustWait ? Self.old : Self.idle)
    }

    private mutating func retire(_ queue: Int, of client: Int) {
        let (new, old) = (Self.newFlows(of: client), Self.oldFlows(of: client))
        if flowLists.list(of: queue) == new, flowLists.first(of: old) != nil { return flowLists.append(queue, to: old) }
        // The queue that a client always has is nobody else's to take.
        if queue < Self.clientCount { flowLists.remove(queue) } else { flowLists.append(queue, to: Self.idle) }
    }

    /// The first packet of a queue that controlled delay lets pass.
    private mutating func next(of queue: Int, _ now: UInt64) -> Int? {
        while let packet = takeFirst(of: queue) {
            guard let law else { return packet }
            let sojourn = now &- packets[packet].since
            let mustTell = flows[queue].codel.judge(sojourn: sojourn, backlog: flows[queue].backlog, now: now, law)
            if !mustTell { return packet }
            if mark(packet) {
                marked &+= 1
                return packet
            }
            store.free(packet)
            losses.dropped &+= 1
        }
        flows[queue].codel.rest()
        return nil
    }

    private mutating func takeFirst(of queue: Int) -> Int? {
        guard let packet = packetLists.first(of: queue) else { return nil }
        packetLists.remove(packet)
        add(-Int(packets[packet].wireLength), -1, to: queue)
        return packet
    }

    private mutating func mark(_ packet: Int) -> Bool {
        var octets = store.beginning(of: packet, length: Int(packets[packet].length))
        var headers = octets._mutatingExtracting(VirtioNetHeader.size..<octets.byteCount)
        return headers.markCongestion()
    }

    // MARK: After the turn

    /// Writes a packet to a port and forgets it.
    ///
    /// - Returns: as write(2) does.
    package mutating func write(_ departure: consuming Departure, to port: CInt) -> Int {
        let length = departure.length
        let packet = departure.surrender()
        let written = store.write(packet, length: length, to: port)
        store.free(packet)
        return written
    }

    package mutating func free(_ departure: consuming Departure) { store.free(departure.surrender()) }

    /// What was lost since it was asked last.
    package mutating func takeLosses() -> Losses {
        let taken = losses
        losses = Losses()
        return taken
    }

    /// Drops everything.
    package mutating func clear() {
        for queue in 0..<flowsUsed {
            while let packet = takeFirst(of: queue) {
                store.free(packet)
                losses.cleared &+= 1
            }
        }
    }

    // MARK: No more room

    /// Drops packets from the front of the longest queue until half of it is gone, at most 64, so that the search is
    /// paid for.
    ///
    /// - Returns: false when nothing waits.
    private mutating func dropFromLongest() -> Bool {
        guard let client = largestClient(), let queue = longestQueue(of: client) else { return false }
        let half = flows[queue].backlog / 2
        for _ in 0..<64 {
            guard let packet = takeFirst(of: queue) else { break }
            store.free(packet)
            losses.overflowed &+= 1
            if flows[queue].backlog <= half { break }
        }
        return true
    }

    private func largestClient() -> Int? {
        var (largest, most): (Int?, Int) = (nil, 0)
        for client in 0..<clientsUsed where clients[client].backlog > most {
            (largest, most) = (client, clients[client].backlog)
        }
        return largest
    }

    private func longestQueue(of client: Int) -> Int? {
        var (longest, most): (Int?, Int) = (nil, 0)
        for queue in 0..<flowsUsed where flows[queue].backlog > most && flows[queue].client == client {
            (longest, most) = (queue, flows[queue].backlog)
        }
        return longest
    }
}
