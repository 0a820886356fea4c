import LinuxNetwork
import LocalAPI

extension Probe {
    static let subnetRoutes = Probe(
        "subnet_routes", "Does tailscaled tell which networks the node routes for its tailnet?", worst: .warning
    ) { surroundings in
        judge(SubnetRouteWatch.answer(at: surroundings.settings.tailscaledSocket), local: surroundings.settings.local)
    }

    /// - Parameter local: networks that the settings name.
    static func judge(_ answer: SubnetRouteWatch.Answer, local: [IPPrefix]) -> Finding {
        guard let routes = answer.routes else {
            let failure = "\(answer.socket): \(answer.failure?.description ?? "no answer")"
            guard local.isEmpty else { return .ok("not told by tailscaled (\(failure)), but named by the settings") }
            return .note(
                "tailscaled does not tell (\(failure)), so traffic to networks that it advertises leaves by the VPN",
                remedy: "share its socket: `volumes: [tailscale-socket:/var/run/tailscale]` in both containers, "
                    + "or name the networks: --local 192.168.1.0/24")
        }
        guard routes.refused.isEmpty else {
            let list = routes.prefixes.map(\.description).joined(separator: ",")
            return .warning(
                SubnetRoutes.refusal(routes.refused), remedy: "tailscale set --advertise-routes=\(list)")
        }
        let told = routes.prefixes.map(\.description).joined(separator: ", ")
        return .ok("tailscaled advertises \(told.isEmpty ? "none" : told + ", left to the host")")
    }
}
