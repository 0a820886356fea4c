internal import FoundationEssentials
internal import Synchronization

/// The marks of what a host sends out of one interface, told by nftables, which is nobody's of ours.
package final class MarkWatch: Sendable {
    /// What left: by which protocol, where to, and with which mark.
    package struct Sighting: Hashable, Sendable, CustomStringConvertible {
        package let isIPv6: Bool
        package let transport: UInt8
        package let port: UInt16
        package let mark: UInt32

        package var description: String {
            "\(transport == 6 ? "tcp" : "udp")\(isIPv6 ? 6 : 4)/\(port) 0x\(String(mark, radix: 16))"
        }
    }

    private let host: LabHost
    private let table: String
    /// How many packets of each kind were told of.
    private let told = Mutex<[Sighting: Int]>([:])

    package init(on host: LabHost, interface: String) throws(LabFailure) {
        self.host = host
        table = "marks_\(interface)"
        try host.nft(
            """
            table inet \(table) {
                set seen {
                    typeof meta nfproto . meta l4proto . th dport . meta mark
                    flags dynamic
                    size 65535
                    counter
                }
                chain leaving {
                    type filter hook postrouting priority 0
                    oifname "\(interface)" meta l4proto { tcp, udp } \\
                        update @seen { meta nfproto . meta l4proto . th dport . meta mark }
                }
            }
            """)
    }

    /// What was seen since the last time. The kernel's counts only rise: a set that was emptied after it is read would
    /// lose what came between.
    package func take() throws(LabFailure) -> Set<Sighting> {
        let text = try host.run(["nft", "-nn", "list", "set", "inet", table, "seen"])
        // Such an element is written "10 . 6 . 443 . 0x00000000 counter packets 1 bytes 60".
        let elements = text.split { $0.isNewline || $0 == "," || $0 == "{" || $0 == "}" || $0 == "=" }
        let counts = elements.compactMap { Sighting.counted($0.split { $0.isWhitespace || $0 == "." }) }
        return told.withLock { told in
            let new = counts.filter { $0.packets > told[$0.sighting, default: 0] }
            for (sighting, packets) in new { told[sighting] = packets }
            return Set(new.map(\.sighting))
        }
    }
}

extension MarkWatch.Sighting {
    fileprivate static func counted(_ words: [Substring]) -> (sighting: Self, packets: Int)? {
        guard words.count == 9, words[4...5] == ["counter", "packets"], let family = UInt8(words[0]),
            let transport = UInt8(words[1]), let port = UInt16(words[2]),
            let mark = UInt32(words[3].dropFirst(2), radix: 16), let packets = Int(words[6])
        else { return nil }
        return (Self(isIPv6: family == 10, transport: transport, port: port, mark: mark), packets)
    }
}
