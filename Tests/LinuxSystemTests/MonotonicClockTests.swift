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

    @Test("the time since boot is the uptime that the kernel tells")
    func uptime() throws {
        let text = String(decoding: try #require(try TextFile("/proc/uptime").read()), as: UTF8.self)
        let uptime = try #require(text.split(separator: " ").first.flatMap { Double($0) })
        #expect((uptime...uptime + 5).contains(Double(MonotonicClock().nanosecondsSinceBoot) / 1e9))
    }
}
