internal import LinuxSystem

/// As much traffic as a path takes, by iperf3, until its owner lets go of it.
package final class Bulk: Sendable {
    package enum Kind: Hashable, Sendable {
        /// Each of the flows as fast as cubic makes it.
        case tcp
        /// So many bits of payload per second by all flows together, heard or not.
        case udp(bitsPerSecond: UInt64)
    }

    package enum Direction: String, Sendable {
        case upload, download, both

        fileprivate var flags: [String] {
            switch self {
            case .upload: []
            case .download: ["--reverse"]
            case .both: ["--bidir"]
            }
        }
    }

    private static let longest = 600

    private let service: ChildProcess
    private let client: ChildProcess

    /// - Parameters:
    ///   - source: the client's address that is used; the port of the server tells one such load from another.
    package init(
        _ kind: Kind, _ direction: Direction, flows: Int, client: LabHost, from source: String? = nil,
        server: LabHost, at address: String, port: UInt16 = 5201
    ) throws(LabFailure) {
        service = try server.start(["iperf3", "-s", "-1", "-p", "\(port)", "-B", address, "--forceflush"])
        try service.awaitOutput("Server listening", of: "iperf3 on \(server.name)")
        let pace =
            switch kind {
            case .tcp: ["-C", "cubic"]
            // As long as a packet of 1500 octets has room for.
            case .udp(let rate): ["-u", "-b", "\(rate / UInt64(flows))", "-l", "1472"]
            }
        self.client = try client.start(
            ["iperf3", "-c", address, "-p", "\(port)", "-P", "\(flows)", "-t", "\(Self.longest)", "--forceflush"]
                + ["--connect-timeout", "5000"] + (source.map { ["-B", $0] } ?? []) + direction.flags + pace)
    }

    /// What the client has to say, where it has ended by itself.
    package var complaint: String? {
        client.wait(upTo: .zero).map { "\($0) " + client.standardError + client.standardOutput.suffix(500) }
    }
}

extension ChildProcess {
    func awaitOutput(_ text: String, of what: String) throws(LabFailure) {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(5)
        while !standardOutput.contains(text) {
            guard clock.now < deadline, wait(upTo: .milliseconds(10)) == nil else {
                throw LabFailure(couldNot: "start \(what)", because: standardError)
            }
        }
    }
}
