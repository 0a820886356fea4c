internal import FoundationEssentials
internal import LinuxSystem

/// What iperf3 measures between two hosts with one TCP connection.
package struct Throughput: Sendable {
    /// 10^9 bits of payload per second, as the receiver counted them.
    package let gigabitsPerSecond: Double
    package let retransmissions: Int

    private static let port = "5201"

    package init(
        _ direction: Transfer.Direction = .upload, seconds: Int, client: LabHost, server: LabHost, at address: String
    ) throws(LabFailure) {
        let service = try server.start(["iperf3", "-s", "-1", "-p", Self.port, "-B", address, "--forceflush"])
        try service.awaitOutput("Server listening", of: "iperf3 on \(server.name)")
        let reverse = direction == .download ? ["-R"] : []
        // Cubic, as nearly every sender: machines whose default is another one must not measure something else.
        let asked = [
            "-J", "-c", address, "-p", Self.port, "-t", "\(seconds)", "-C", "cubic", "--connect-timeout", "5000",
        ]
        let answer = try client.run(["iperf3"] + asked + reverse, upTo: .seconds(seconds + 15))
        do {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            let end = try decoder.decode(Report.self, from: Data(answer.utf8)).end
            gigabitsPerSecond = end.sumReceived.bitsPerSecond / 1e9
            retransmissions = end.sumSent.retransmits ?? 0
        } catch {
            throw LabFailure(couldNot: "read iperf3's report", because: "\(error)")
        }
        guard gigabitsPerSecond > 0 else {
            throw LabFailure(couldNot: "measure from \(client.name) to \(server.name)", because: "nothing arrived")
        }
    }
}

/// The part of iperf3's JSON that is read here.
private struct Report: Decodable {
    struct Sum: Decodable {
        let bitsPerSecond: Double
        let retransmits: Int?
    }

    struct End: Decodable {
        let sumSent: Sum
        let sumReceived: Sum
    }

    let end: End
}
