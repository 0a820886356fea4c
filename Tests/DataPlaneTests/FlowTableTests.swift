import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// The table against a dictionary of flows.
struct FlowTableTests {
    private static let seed = HashSeed(first: 3, second: 5)
    private static let exit = IPAddress(v4: 0x0a40_0002)

    private static func key(_ number: Int) -> FlowKey {
        FlowKey(
            local: IPAddress(v4: 0x6440_0000 + UInt32(number % 7)),
            remote: IPAddress(v4: 0xcb00_7100 + UInt32(number % 5)),
            localPort: UInt16(number), remotePort: 443, transport: number % 2 == 0 ? .tcp : .udp)
    }

    private static func outside(_ number: Int) -> FlowKey {
        let inside = key(number)
        return FlowKey(
            local: exit, remote: inside.remote, localPort: UInt16(20000 + number), remotePort: 443,
            transport: inside.transport)
    }

    private static func flow(_ number: Int, _ table: borrowing FlowTable, _ state: FlowState, now: UInt32) -> Flow {
        Flow(
            inside: key(number), insideHash: table.hash(key(number)), outside: outside(number),
            outsideHash: table.hash(outside(number)), binding: 0, state: state, now: now)
    }

    /// Opens a flow where there must be room.
    private static func open(_ number: Int, in table: inout FlowTable, _ state: FlowState, now: UInt32) throws -> Int {
        let reserved = table.reserve()
        let slot = try #require(reserved)
        table.open(slot, flow(number, table, state, now: now))
        return slot
    }

    private static let states: [FlowState] = [
        .opening, .answered, .established, .clientFinished, .remoteFinished, .closing, .reset,
    ]

    @Test func `flows are found by both names, end in their second, and leave nothing behind`() throws {
        var random = RandomNumbers(seed: 7)
        var table = try FlowTable(capacity: 48, seed: Self.seed, now: 1)
        var slots: [Int: Int] = [:]
        var now: UInt32 = 1
        var wrong = 0
        for _ in 0..<12_000 {
            let number = Int.random(in: 0..<100, using: &random)
            let inside = table.findInside(Self.key(number), table.hash(Self.key(number)))
            let outside = table.findOutside(Self.outside(number), table.hash(Self.outside(number)))
            if inside != slots[number] || outside != slots[number] { wrong += 1 }
            switch (Int.random(in: 0..<4, using: &random), slots[number]) {
            case (0...1, nil):
                let slot = table.reserve()
                if (slot == nil) != (slots.count == 48) { wrong += 1 }
                guard let slot else { continue }
                let state = Self.states.randomElement(using: &random) ?? .opening
                table.open(slot, Self.flow(number, table, state, now: now))
                slots[number] = slot
            case (0...1, let slot?):
                // A packet, which may change the state and with it the deadline, in either direction.
                let before = table[slot].state
                table[slot].state = Self.states.randomElement(using: &random) ?? .opening
                table[slot].lastEgress = now
                if table[slot].state != before { table.reschedule(slot) }
            case (2, let slot?):
                if table.close(slot).insideKey != Self.key(number) { wrong += 1 }
                slots[number] = nil
            case (3, _):
                let gaps: [UInt32] = [0, 1, 30, 61, 250, 8000]
                now += gaps.randomElement(using: &random) ?? 0
                let over = Set(slots.values.filter { table[$0].deadline <= now })
                var ended: Set<Int> = []
                var budget = Int.max
                while let slot = table.nextExpired(now, budget: &budget) {
                    ended.insert(slot)
                    _ = table.close(slot)
                }
                if ended != over { wrong += 1 }
                slots = slots.filter { !ended.contains($0.value) }
            default: break
            }
            if table.live != slots.count { wrong += 1 }
        }
        #expect(wrong == 0)

        var budget = Int.max
        while let slot = table.nextExpired(now + 8000, budget: &budget) { _ = table.close(slot) }
        let left = (live: table.live, flows: table.flows(in: 0..<48).count)
        #expect(left == (0, 0))
        let found = (0..<100).filter { table.findInside(Self.key($0), table.hash(Self.key($0))) != nil }
        #expect(found == [])
        var again: Set<Int> = []
        while let slot = table.reserve() { again.insert(slot) }
        #expect(again.count == 48)
    }

    @Test func `the longest unused flow gives way, and never one that is kept`() throws {
        var random = RandomNumbers(seed: 8)
        for kept in [0, 20, 63, 64] {
            var table = try FlowTable(capacity: 64, seed: Self.seed, now: 1)
            var mayGo: [Int: UInt32] = [:]
            for number in 0..<64 {
                let states = Self.states.filter { $0.isKept == (number < kept) }
                let last = UInt32.random(in: 1...1000, using: &random)
                let slot = try Self.open(
                    number, in: &table, states.randomElement(using: &random) ?? .opening, now: last)
                if number >= kept { mayGo[slot] = last }
            }
            while let slot = table.nextToEvict() {
                let last = try #require(mayGo[slot], "slot \(slot) is kept")
                #expect(last == mayGo.values.min())
                mayGo[slot] = nil
                _ = table.close(slot)
            }
            #expect(mayGo.isEmpty)
            let live = table.live
            #expect(live == kept)
        }
    }

    @Test func `a table larger than one search gives every flow its turn to go`() throws {
        var table = try FlowTable(capacity: 300, seed: Self.seed, now: 1)
        for number in 0..<300 {
            _ = try Self.open(number, in: &table, number == 250 ? .opening : .established, now: 1)
        }
        let found = (0..<5).compactMap { _ in table.nextToEvict() }
        #expect(found == [250])
    }

    @Test func `looking for flows whose time is over costs no more than the budget`() throws {
        var table = try FlowTable(capacity: 100, seed: Self.seed, now: 1)
        for number in 0..<100 {
            let slot = try Self.open(number, in: &table, .opening, now: 1)
            table[slot].lastEgress = 200
        }
        var answers: [Bool] = []
        var left: [Int] = []
        for second: UInt32 in [400, 400, 600] {
            var budget = 60
            answers.append(table.nextExpired(second, budget: &budget) != nil)
            left.append(budget)
        }
        #expect(answers == [false, false, true])
        #expect(left == [0, 20, 59])
    }
}
