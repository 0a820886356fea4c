import LinuxSystem
import Testing

@Suite struct MonotonicClockTests {
    @Test("the clock never goes back and keeps the pace of Swift's own")
    func pace() throws {
        let clock = MonotonicClock()
        let before = clock.nanoseconds
        let measured = try ContinuousClock().measure { _ = try ChildProcess(["sleep", "0.1"]).wait(upTo: .seconds(5)) }
        let passed = clock.nanoseconds - before
        #expect(passed >= 100_000_000)
        #expect(Duration.nanoseconds(passed) - measured < .milliseconds(50))
    }
}
