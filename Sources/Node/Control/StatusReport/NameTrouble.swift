package import SplitDNS

extension StatusReport.DNS {
    /// What keeps names from being split, or from being answered at all; each in a sentence.
    package enum Trouble: Equatable, Sendable {
        /// resolv.conf does not lead to us.
        case notAsked(String)
        /// No resolver is known on the VPN's side.
        case nobody
        /// The side's resolver has never answered.
        case silent(Side, String)

        package var sentence: String {
            switch self {
            case .notAsked(let sentence), .silent(_, let sentence): sentence
            case .nobody: "no resolver is known on the VPN's side: other names than Tailscale's fail"
            }
        }
    }

    /// The gravest.
    package var trouble: Trouble? {
        guard isTakenOver else { return .notAsked(because ?? "somebody else has rewritten resolv.conf this moment") }
        guard let vpn else { return .nobody }
        for (side, resolver, way) in [(Side.vpn, vpn, "VPN"), (.direct, direct, "uplink")] {
            let counts = counts[side]
            let unanswered = counts.timedOut + counts.unreachable
            guard counts.answered == 0, unanswered > 0 else { continue }
            return .silent(side, "\(resolver) has answered none of the questions over the \(way), \(unanswered) so far")
        }
        return nil
    }
}
