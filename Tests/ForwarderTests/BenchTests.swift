import Foundation
import Glibc
import Lab
import Testing

@testable import Node
@testable import forwarder

@Suite(.serialized) struct BenchTests {
    @Test("one round of one scenario is the JSON that scripts rely on", .labCanBeBuilt)
    func contract() throws {
        let ending = try Binary.run(["bench", "tcp_bulk", "--rounds", "1", "--seconds", "1", "--json"])
        #expect(ending.code == 0, "\(ending.err)")
        let answer = try #require(ending.object)
        #expect(answer["schema"] as? String == "forwarder.bench/1")
        let machine = try #require(answer["machine"] as? [String: Any])
        #expect(try #require(machine["cores"] as? Int) > 0)
        #expect(machine["cpu"] is String && machine["kernel"] is String)
        let scenarios = try #require(answer["scenarios"] as? [[String: Any]])
        let scenario = try #require(scenarios.first)
        #expect(scenarios.count == 1)
        #expect(scenario["name"] as? String == "tcp_bulk")
        #expect(scenario["unit"] as? String == "Gbit/s")
        #expect(scenario["better"] as? String == "higher")
        let variants = try #require(scenario["variants"] as? [String: [String: Any]])
        #expect(Set(variants.keys) == ["kernel", "kernel_deployed", "uring", "poll"])
        for (name, figure) in variants {
            let rounds = try #require(figure["rounds"] as? [Double])
            #expect(rounds.count == 1 && rounds[0] > 0, "\(name)")
            #expect(["median", "low", "high"].allSatisfy { figure[$0] as? Double == rounds[0] })
            #expect((figure["cpu_seconds"] == nil) == name.hasPrefix("kernel"))
        }
        let ratio = try #require(scenario["ratio"] as? [String: Double])
        #expect(Set(ratio.keys) == ["kernel_deployed", "uring", "poll"])
    }

    @Test("a name that no scenario has is refused with 64")
    func unknown() throws {
        let ending = try Binary.run(["bench", "tcp_bulk", "tcp_bluk"])
        #expect(ending.code == 64)
        #expect(ending.err.contains("did you mean forwarder bench tcp_bulk?"))
        #expect(try Binary.run(["bench", "--seconds", "0"]).code == 64)
    }

    @Test("the table shows every round, and the ratio is that within rounds")
    func table() {
        let measurement = Measurement(
            scenario: .tcpBulk,
            figures: [
                (.kernel, Spread([20, 2, 18]), nil), (.uring, Spread([16, 1.5, 9]), Spread([1, 2, 1.5])),
            ])
        let report = BenchReport([measurement])
        #expect(report.scenarios[0].ratio == ["uring": 0.75])
        #expect(
            report.scenarios[0].text == """
                tcp_bulk in Gbit/s, higher is better
                variant  median    low    high  of kernel  cpu s            rounds
                kernel   18.000  2.000  20.000                    20.00 2.00 18.00
                uring     9.000  1.500  16.000       0.75   1.50   16.00 1.50 9.00

                """)
    }

    @Test(
        "numbers are rounded to their last place",
        arguments: [
            (0, 2, "0.00"), (0.004, 2, "0.00"), (-0.004, 2, "0.00"), (0.005, 2, "0.01"), (-1.25, 1, "-1.3"),
            (19.996, 2, "20.00"), (7.5, 0, "8"), (.infinity, 1, "90000000000000000.0"),
        ] as [(Double, Int, String)])
    func decimals(value: Double, places: Int, text: String) {
        #expect(decimalText(value, places: places) == text)
    }

    @Test("Ctrl-C in the middle leaves no process", .labCanBeBuilt)
    func interrupted() throws {
        let mark = "BENCH_OWNED_BY=\(getpid())"
        let process = Process()
        // Whoever runs the tests may ignore the signal, which is inherited.
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "--default-signal=INT", Binary.path.path, "bench", "tcp_wireguard", "--rounds", "1", "--seconds", "8",
        ]
        process.environment = ProcessInfo.processInfo.environment.merging(["BENCH_OWNED_BY": "\(getpid())"]) { $1 }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        // The bench itself, four wireguard-go and one more at work.
        #expect(awaitCount(of: mark, upTo: 20) { $0 >= 6 })
        process.interrupt()
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGINT)
        #expect(awaitCount(of: mark, upTo: 5) { $0 == 0 })
    }

    /// Looks every 100 ms at how many processes carry the mark in their environment, until it is as wanted.
    private func awaitCount(of mark: String, upTo seconds: Int, _ isWanted: (Int) -> Bool) -> Bool {
        for _ in 0..<(10 * seconds) {
            let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            let marked = processes.filter { $0.allSatisfy(\.isNumber) }.filter { process in
                let environment = try? Data(contentsOf: URL(filePath: "/proc/\(process)/environ"))
                return environment?.split(separator: 0).contains(Data(mark.utf8)) ?? false
            }
            if isWanted(marked.count) { return true }
            usleep(100_000)
        }
        return false
    }
}
