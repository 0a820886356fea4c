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

    @Test("Who asks for signs of life more often than can be given does not make it spin")
    func impatient() throws {
        let supervisor = try #require(
            Supervisor(["NOTIFY_SOCKET": "/tmp/forwarder-test-nobody", "WATCHDOG_USEC": "1"]))
        let watchdog = try Watchdog(for: supervisor)
        var looks = 0
        let begin = ContinuousClock.now
        #expect(
            !watchdog.watch {
                nil
            } atEachLook: {
                looks += 1
                if looks == 10 { watchdog.stop() }
            })
        #expect(begin.duration(to: .now) > .seconds(1))
    }

    @Test("Signs of life are asked for by whoever speaks the protocol, of us and of nobody else")
    func patience() throws {
        func patience(_ more: [String: String]) -> Duration? {
            Supervisor(["NOTIFY_SOCKET": "/tmp/forwarder-test-nobody"].merging(more) { $1 })?.patience
        }
        #expect(patience([:]) == nil)
        #expect(patience(["WATCHDOG_USEC": "20000000"]) == .seconds(20))
        #expect(patience(["WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "\(getpid())"]) == .seconds(20))
        #expect(patience(["WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"]) == nil)
        for nonsense in ["", "0", "-1", "soon"] { #expect(patience(["WATCHDOG_USEC": nonsense]) == nil) }
        #expect(Supervisor([:]) == nil && Supervisor(["NOTIFY_SOCKET": "vsock:2:1"]) == nil)
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
