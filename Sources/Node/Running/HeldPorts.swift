import FoundationEssentials

/// Ports that sockets of this namespace hold, read from the kernel's tables of sockets. No capability is needed.
struct HeldPorts: Equatable, Sendable {
    let tcp: [UInt16]
    let udp: [UInt16]

    static func now() -> HeldPorts {
        HeldPorts(tcp: ports(in: ["tcp", "tcp6"]), udp: ports(in: ["udp", "udp6"]))
    }

    private static func ports(in tables: [String]) -> [UInt16] {
        // A family that the kernel does not have holds no ports.
        let texts = tables.compactMap { try? String(contentsOfFile: "/proc/thread-self/net/\($0)", encoding: .utf8) }
        return Set(texts.flatMap(ports(inTable:))).sorted()
    }

    /// The second column is the local address and port, in hexadecimal.
    static func ports(inTable text: String) -> [UInt16] {
        text.split(separator: "\n").dropFirst().compactMap { line in
            let columns = line.split(separator: " ", maxSplits: 2)
            guard columns.count > 1, let port = columns[1].split(separator: ":").last else { return nil }
            return UInt16(port, radix: 16)
        }
    }
}
