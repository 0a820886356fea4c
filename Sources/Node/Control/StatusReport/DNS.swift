package import SplitDNS

extension StatusReport {
    /// How names are split.
    package struct DNS: Codable, Equatable, Sendable {
        /// Where the namespace's processes ask.
        package var listen: String
        /// Who is asked over the uplink.
        package var direct: String
        /// Who is asked over the VPN; none where none is known.
        package var vpn: String?
        /// Whether resolv.conf names `listen`.
        package var isTakenOver: Bool
        /// Why it does not.
        package var because: String?
        package var counts: Counts
    }
}
