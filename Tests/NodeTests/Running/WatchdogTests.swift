import Foundation
import LinuxSystem
import Testing

@testable import DataPlane
@testable import Node

@Suite("The watchdog")
struct WatchdogTests {
    @Test("Three questions without an answer, one after the other, make a loop stuck; an answer forgives them")
    func limit() {
        var silence = Watchdog.Silence()
        for isAnswered in [false, false, true, false, false] {
            silence.hear(isAnswered, after: .seconds(1))
            #expect(!silence.isStuck)
            #expect(silence.isBroken == isAnswered)
        }
        silence.hear(false, after: .seconds(1))
        #expect(silence.isStuck)
    }

    @Test("A question over which the clock leapt says nothing: the machine slept, or we were stopped")
    func leap() {
        var silence = Watchdog.Silence()
        for _ in 0..<100 { silence.hear(false, after: .seconds(15)) }
        #expect(silence.isBroken)
        // Nor does it forgive.
        for time in [1, 60, 1, 60, 1] { silence.hear(false, after: .seconds(time)) }
        #expect(silence.isStuck)
    }

    @Test("A loop that does not answer is stuck within ten seconds, and not before it was asked again")
    func stuck() throws {
        let watchdog = try Watchdog(for: nil)
        let inquiries = try Inquiries()
        let begin = ContinuousClock.now
        #expect(watchdog.watch { inquiries })
        #expect((Duration.seconds(5)...Duration.seconds(10)).contains(begin.duration(to: .now)))
    }

    @Test("A loop that has ended is not stuck, nor is one that is not there yet")
    func ended() throws {
        let watchdog = try Watchdog(for: nil)
        let inquiries = try Inquiries()
        inquiries.end()
        var looks = 0
        let isStuck = watchdog.watch {
            looks % 2 == 0 ? inquiries : nil
        } atEachLook: {
            looks += 1
            if looks == 4 { watchdog.stop() }
        }
        #expect(!isStuck && looks >= 4)
    }
}
