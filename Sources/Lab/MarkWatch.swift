internal import FoundationEssentials

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
                }
                chain leaving {
                    type filter hook postrouting priority 0
                    oifname "\(interface)" meta l4proto { tcp, udp } \\
                        update @seen { meta nfproto . meta l4proto . th dport . meta mark }
                }
            }
            """)
    }

    /// What was seen since the last time.
    package func take() throws(LabFailure) -> Set<Sighting> {
        let text = try host.run(["nft", "-nn", "list", "set", "inet", table, "seen"])
        try host.nft("flush set inet \(table) seen")
        // Such an element is written "10 . 6 . 443 . 0x00000000".
        let elements = text.split { $0.isNewline || $0 == "," || $0 == "{" || $0 == "}" }
        return Set(elements.compactMap { Sighting($0.split(separator: ".").map { $0.filter { !$0.isWhitespace } }) })
    }
}

extension MarkWatch.Sighting {
    fileprivate init?(_ fields: [String]) {
        guard fields.count == 4, let family = UInt8(fields[0]), let transport = UInt8(fields[1]),
            let port = UInt16(fields[2]), let mark = UInt32(fields[3].dropFirst(2), radix: 16)
        else { return nil }
        self.init(isIPv6: family == 10, transport: transport, port: port, mark: mark)
    }
}
