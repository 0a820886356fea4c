import TestSupport
import Testing

@testable import DataPlane

/// The wheel against a dictionary from slot to second.
struct TimerWheelTests {
    private static let slots = 40

    /// Seconds that the wheel promises: never in the past, never beyond its horizon.
    private struct Naive {
        var due: [Int: UInt32] = [:]
        /// The second up to which everything has been looked at.
        var looked: UInt32

        mutating func schedule(_ slot: Int, at second: UInt32) {
            due[slot] = min(max(second, looked + 1), looked + TimerWheel.horizon)
        }
    }

    @Test(arguments: [UInt32(1), 1_000_000, 3_999_990_000])
    func `slots come out in the order of their seconds, each in its own`(start: UInt32) throws {
        var random = RandomNumbers(seed: UInt64(start))
        var wheel = try TimerWheel(slots: Self.slots, now: start)
        var naive = Naive(looked: start)
        var now = start
        var wrong = 0
        for _ in 0..<6000 {
            let slot = Int.random(in: 0..<Self.slots, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                let soon = now + UInt32.random(in: 0...400, using: &random)
                let choices: [UInt32] = [0, now, now + 1, soon, soon, now + 20_000]
                let second = choices.randomElement(using: &random) ?? 0
                wheel.schedule(slot, at: second)
                naive.schedule(slot, at: second)
            case 5:
                wheel.cancel(slot)
                naive.due[slot] = nil
            default:
                let gaps: [UInt32] = [0, 1, 7, 300, 9000]
                now += gaps.randomElement(using: &random) ?? 0
                // Now and then only a few are taken, as when the loop's budget ends.
                for _ in 0..<Int.random(in: 1...60, using: &random) {
                    guard let slot = wheel.nextDue(now) else {
                        naive.looked = max(naive.looked, now)
                        wrong += naive.due.values.count { $0 <= now }
                        break
                    }
                    let due = naive.due[slot]
                    if due == nil || due != naive.due.values.min() || due.map({ $0 > now }) ?? true { wrong += 1 }
                    naive.looked = max(naive.looked, due ?? 0)
                    naive.due[slot] = nil
                }
            }
        }
        #expect(wrong == 0)
    }

    @Test func `what is scheduled beyond the horizon is looked at when the horizon is reached`() throws {
        var wheel = try TimerWheel(slots: 1, now: 10)
        wheel.schedule(0, at: 10 + 3 * TimerWheel.horizon)
        #expect(wheel.nextDue(10 + TimerWheel.horizon - 1) == nil)
        #expect(wheel.nextDue(10 + TimerWheel.horizon) == 0)
    }

    @Test func `a cancelled slot never comes`() throws {
        var wheel = try TimerWheel(slots: 3, now: 0)
        for slot in 0..<3 { wheel.schedule(slot, at: 5) }
        wheel.cancel(1)
        wheel.cancel(1)
        let due = [wheel.nextDue(5), wheel.nextDue(5), wheel.nextDue(5)]
        #expect(Set(due) == [0, 2, nil])
    }
}
