import FoundationEssentials
import LinuxNetwork

extension Probe {
    static let vpnAlive = Probe("vpn_alive", "Does anything come back out of the VPN?", worst: .warning) {
        surroundings in
        let name = surroundings.settings.vpn
        guard let link = surroundings.edges.vpn else {
            return .notAsked("there is no \(name)", remedy: "see the finding vpn")
        }
        // What a node has counted says more than one look.
        if let vpn = surroundings.status?.vpn { return judge(vpn, name) }
        return judge(WireGuardDevice.read(link), name)
    }

    static func judge(_ vpn: StatusReport.VPN, _ name: String) -> Finding {
        let because = vpn.because ?? "for a reason that is not told"
        switch vpn.state {
        case .up: return .ok("nothing speaks against it" + told(vpn.lastHandshake))
        case .stale:
            return .warning(
                "\(name) is stale: \(because)\(told(vpn.lastHandshake))", remedy: TunnelWatch.remedy(name))
        case .down: return .notAsked(because, remedy: "see the finding vpn")
        }
    }

    /// Without a node nobody has counted what clients sent. A tunnel that nobody uses is silent, hence the only bad sign is
    /// that it has asked for a handshake and never had one.
    static func judge(_ device: WireGuardDevice?, _ name: String) -> Finding {
        guard let device else { return .ok("\(name) does not tell; a node judges it by what clients send") }
        if let last = device.lastHandshake {
            return .ok("\(name) has been answered" + told(Date(timeIntervalSince1970: Double(last))))
        }
        guard device.sentBytes > 0 else { return .ok("\(name) has not been used yet") }
        return .warning(
            "\(name) has sent \(device.sentBytes) octets and never had a handshake",
            remedy: "compare the keys and the endpoint that `wg show \(name)` lists with those of the VPN's provider, "
                + "and \(TunnelWatch.remedy(name))")
    }

    private static func told(_ handshake: Date?) -> String {
        handshake.map { ", last handshake \(max(0, Int(Date().timeIntervalSince($0)))) s ago" } ?? ""
    }
}
