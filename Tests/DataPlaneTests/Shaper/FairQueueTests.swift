import Glibc
import LinuxSystem
import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// The fair queue: its order against lists that do nothing clever, its count of packets against theirs.
struct FairQueueTests {
    // MARK: Order

    /// Deficit round robin in two levels with lists of new and old (RFC 8290 section 4), in arrays.
    private struct Naive {
        struct Turns<Name: Hashable> {
            var new: [Name] = []
            var old: [Name] = []
            var deficit: [Name: Int] = [:]

            mutating func join(_ name: Name) {
                guard !new.contains(name), !old.contains(name) else { return }
                new.append(name)
                deficit[name] = FairQueueTests.quantum
            }

            /// Whose turn it is.
            mutating func next() -> Name? {
                while let name = new.first ?? old.first {
                    if deficit[name, default: 0] > 0 { return name }
                    deficit[name, default: 0] += FairQueueTests.quantum
                    leave(name)
                    old.append(name)
                }
                return nil
            }

            /// It has nothing to send.
            mutating func skip(_ name: Name) {
                let wasNew = new.contains(name)
                leave(name)
                if wasNew, !old.isEmpty { old.append(name) }
            }

            private mutating func leave(_ name: Name) {
                new.removeAll { $0 == name }
                old.removeAll { $0 == name }
            }
        }

        var clients = Turns<Int>()
        var flows: [Int: Turns<Int>] = [:]
        var packets: [Int: [Int: [QueuedPacket]]] = [:]

        mutating func enqueue(_ packet: QueuedPacket) {
            packets[packet.client, default: [:]][packet.flow, default: []].append(packet)
            flows[packet.client, default: Turns()].join(packet.flow)
            clients.join(packet.client)
        }

        mutating func dequeue() -> QueuedPacket? {
            while let client = clients.next() {
                guard let flow = flows[client, default: Turns()].next() else {
                    clients.skip(client)
                    continue
                }
                guard let packet = packets[client]?[flow]?.first else {
                    flows[client]?.skip(flow)
                    continue
                }
                packets[client]?[flow]?.removeFirst()
                clients.deficit[client, default: 0] -= packet.length
                flows[client]?.deficit[flow, default: 0] -= packet.length
                return packet
            }
            return nil
        }
    }

    private static let quantum = 1514

    @Test(arguments: isSoak ? 1...100 : 1...6)
    func `packets leave in the order of a round robin that is written down in lists`(seed: UInt64) throws {
        var random = RandomNumbers(seed: seed)
        var queue = try FairQueue(memory: 4 << 20)
        var naive = Naive()
        var wrong = 0
        let lengths = [40, 64, 300, 1280, 1500]
        for number in 0..<8000 {
            // Now fuller, now emptier, and sometimes empty.
            let isFilling = number % 2000 < 1100
            if Int.random(in: 0..<10, using: &random) < (isFilling ? 6 : 3) {
                let client = Int.random(in: 0..<7, using: &random)
                let packet = QueuedPacket(
                    client: client, flow: .random(in: 0...client * 3, using: &random), number: number,
                    length: lengths.randomElement(using: &random) ?? 40)
                queue.enqueue(packet, now: 1)
                naive.enqueue(packet)
            } else if queue.take(now: 1) != naive.dequeue() {
                wrong += 1
            }
        }
        #expect(wrong == 0, "seed \(seed)")
    }

    // MARK: Nothing is lost

    /// How many clients and flows there are, and octets of memory.
    enum Crowd: String, CaseIterable {
        case few, manyFlows, manyClients, tooManyClients, littleMemory

        var sizes: (clients: Int, flows: Int, memory: Int) {
            switch self {
            case .few: (5, 6, 1 << 20)
            case .manyFlows: (6, 500, 4 << 20)
            case .manyClients: (250, 3, 4 << 20)
            case .tooManyClients: (700, 3, 4 << 20)
            case .littleMemory: (5, 20, 128 << 10)
            }
        }
    }

    @Test(arguments: Crowd.allCases, isSoak ? 1...20 : 1...2)
    func `every packet leaves once or is counted as lost, and those of a flow in their order`(
        crowd: Crowd, seed: UInt64
    ) throws {
        var random = RandomNumbers(seed: seed)
        var queue = try FairQueue(memory: crowd.sizes.memory)
        queue.law = CoDel.Law(rate: 10_000_000, longestPacket: Self.quantum)
        var waiting: Set<QueuedPacket> = []
        var last: [Int: [Int: Int]] = [:]
        var now: UInt64 = 1_000_000_000
        var (left, wrong) = (0, 0)
        let offered = 12_000
        for number in 0..<offered {
            now += 600_000
            let packet = QueuedPacket(
                client: .random(in: 0..<crowd.sizes.clients, using: &random),
                flow: .random(in: 0..<crowd.sizes.flows, using: &random), number: number,
                length: .random(in: 40...1500, using: &random))
            queue.enqueue(packet, now: now)
            waiting.insert(packet)
            // Of two thirds of the packets only, so that the rest has to go another way; now and then it all drains.
            let turns = number % 3000 == 2999 ? .max : number % 3 == 0 ? 0 : 1
            for _ in 0..<turns {
                guard let packet = queue.take(now: now) else { break }
                if waiting.remove(packet) == nil { wrong += 1 }
                // Only clients that share queues with others may see their packets in another order.
                let before = last[packet.client]?[packet.flow] ?? -1
                if before >= packet.number, crowd != .tooManyClients { wrong += 1 }
                last[packet.client, default: [:]][packet.flow] = packet.number
                left += 1
            }
        }
        let lost = Int(queue.losses.overflowed + queue.losses.dropped)
        #expect(wrong == 0, "seed \(seed)")
        #expect(left + lost + queue.count == offered)
        #expect(lost > 0 && left > offered / 2)
        let count = queue.count
        queue.clear()
        #expect(queue.losses.cleared == UInt64(count))
        #expect(queue.count == 0 && queue.backlog == 0)
        #expect(queue.store.cellsFree == crowd.sizes.memory / PacketStore.cellSize)
    }

    @Test func `when there is no more room, the longest queue of the largest client gives way, from the front`() throws
    {
        var queue = try FairQueue(memory: 1 << 20)
        queue.limit = 100_000
        for number in 0..<50 { queue.enqueue(QueuedPacket(client: 1, flow: 1, number: number, length: 1000), now: 1) }
        for number in 0..<20 { queue.enqueue(QueuedPacket(client: 2, flow: 1, number: number, length: 1000), now: 1) }
        for number in 0..<30 { queue.enqueue(QueuedPacket(client: 2, flow: 2, number: number, length: 1000), now: 1) }
        queue.enqueue(QueuedPacket(client: 3, flow: 1, number: 0, length: 40), now: 1)
        // Half of the first client's only flow went for it.
        #expect(queue.losses.overflowed == 25)
        var left: [[Int]: [Int]] = [:]
        while let packet = queue.take(now: 1) { left[[packet.client, packet.flow], default: []].append(packet.number) }
        #expect(left == [[1, 1]: Array(25..<50), [2, 1]: Array(0..<20), [2, 2]: Array(0..<30), [3, 1]: [0]])
    }

    @Test func `a packet for which there can be no room is counted and nothing else lost`() throws {
        var queue = try FairQueue(memory: 4096)
        queue.enqueue(QueuedPacket(client: 1, flow: 1, number: 0, length: 5000), now: 1)
        #expect(queue.losses.overflowed == 1)
        #expect(queue.count == 0)
    }

    // MARK: Fairness

    /// One for equal shares, one over their number when one has all.
    private static func jain(_ shares: [Int]) -> Double {
        let sum = shares.reduce(0.0) { $0 + Double($1) }
        return sum * sum / (Double(shares.count) * shares.reduce(0.0) { $0 + Double($1) * Double($1) })
    }

    @Test(
        arguments: [[1, 8, 100], [1, 1, 1], [300, 1, 2, 30]], [[1500, 1500, 1500, 1500], [64, 1500, 300, 1280]])
    func `clients get the same, whatever number of flows and length of packets they have`(
        flows: [Int], lengths: [Int]
    ) throws {
        var queue = try FairQueue(memory: 4 << 20)
        queue.law = CoDel.Law(rate: 10_000_000, longestPacket: Self.quantum)
        var now: UInt64 = 1_000_000_000
        var bytes = [Int](repeating: 0, count: flows.count)
        var flowBytes = flows.map { [Int](repeating: 0, count: $0) }
        func refill(_ client: Int, _ flow: Int) {
            queue.enqueue(QueuedPacket(client: client, flow: flow, number: 0, length: lengths[client]), now: now)
        }
        for client in flows.indices { for flow in 0..<flows[client] { for _ in 0..<6 { refill(client, flow) } } }
        // Every flow sends again as soon as one of its packets has left: nobody ever has nothing to send.
        while bytes.reduce(0, +) < 10_000_000 {
            guard let packet = queue.take(now: now) else { break }
            bytes[packet.client] += packet.length
            flowBytes[packet.client][packet.flow] += packet.length
            now += UInt64(packet.length) * 800
            refill(packet.client, packet.flow)
            if queue.count < 6 * flows.reduce(0, +) { refill(packet.client, packet.flow) }
        }
        #expect(bytes.reduce(0, +) >= 10_000_000)
        #expect(Self.jain(bytes) > 0.999)
        #expect(flowBytes.allSatisfy { Self.jain($0) > 0.98 })
    }

    @Test func `a flow that sends little is ahead of its own client's bulk, and its client ahead of others`() throws {
        var queue = try FairQueue(memory: 4 << 20)
        for client in 0..<3 {
            for number in 0..<100 {
                queue.enqueue(QueuedPacket(client: client, flow: 0, number: number, length: 1500), now: 1)
            }
        }
        for _ in 0..<30 { _ = queue.take(now: 1) }
        queue.enqueue(QueuedPacket(client: 1, flow: 7, number: 0, length: 100), now: 1)
        queue.enqueue(QueuedPacket(client: 9, flow: 0, number: 0, length: 100), now: 1)
        let next = (0..<8).compactMap { _ in queue.take(now: 1) }
        #expect(next.first?.client == 9)
        #expect(next.contains { $0.client == 1 && $0.flow == 7 })
    }

    // MARK: Congestion

    @Test func `what understands marks is marked and never dropped, and what does not is dropped as often`() throws {
        var lost: [UInt8: UInt64] = [:]
        for typeOfService in [0, 1, 2] as [UInt8] {
            var queue = try FairQueue(memory: 4 << 20)
            queue.law = CoDel.Law(rate: 10_000_000, longestPacket: Self.quantum)
            var marked: UInt64 = 0
            for step in 0..<3000 as Range<UInt64> {
                let now = 1_000_000_000 + step * 1_000_000
                for _ in 0..<2 {
                    queue.enqueue(
                        QueuedPacket(client: 1, flow: 1, number: 1, length: 500, typeOfService: typeOfService), now: now
                    )
                }
                if queue.take(now: now)?.typeOfService == 3 { marked += 1 }
            }
            #expect(queue.marked == marked)
            #expect(queue.losses.dropped == 0 || marked == 0)
            lost[typeOfService] = queue.losses.dropped + queue.marked
        }
        #expect(lost[0, default: 0] > 50)
        #expect(lost[1] == lost[2])
        #expect(abs(Int(lost[0, default: 0]) - Int(lost[1, default: 0])) <= 3)
    }

    @Test func `the delay told of is that of packets that left lately`() throws {
        let (second, millisecond): (UInt64, UInt64) = (1_000_000_000, 1_000_000)
        var queue = try FairQueue(memory: 1 << 20)
        for _ in 0..<100 {
            queue.enqueue(QueuedPacket(client: 1, flow: 1, number: 1, length: 500), now: 5 * second)
            _ = queue.take(now: 5 * second + 8 * millisecond)
        }
        queue.enqueue(QueuedPacket(client: 1, flow: 1, number: 1, length: 500), now: 5 * second)
        _ = queue.take(now: 5 * second + 30 * millisecond)
        let delay = queue.delay
        #expect((8 * millisecond...10 * millisecond).contains(delay.mean(now: 6 * second)))
        #expect([5, 6, 7].map { delay.longest(now: $0 * second + 1) } == [30 * millisecond, 30 * millisecond, 0])
        #expect(delay.mean(now: 7 * second) == 0)
    }
}
