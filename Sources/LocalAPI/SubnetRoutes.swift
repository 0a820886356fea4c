internal import FoundationEssentials
package import LinuxNetwork
import NIOCore

/// The networks that a node advertises to its tailnet as their router, by tailscaled's preferences. The default routes
/// are not among them: by these it is an exit node.
package struct SubnetRoutes: Equatable, Sendable {
    package let prefixes: [IPPrefix]
    /// What was told and is not to be believed.
    package let refused: [String]

    /// Far more than any tailnet has; what is kept with the host has room for 1,024.
    static let limit = 256

    /// - Parameter told: in text, as `AdvertiseRoutes` lists them.
    init(told: [String]) {
        var prefixes: [IPPrefix] = []
        var refused: [String] = []
        for text in told {
            let prefix = IPPrefix(text)
            if prefix?.length == 0 { continue }
            if let prefix, prefix.length >= Self.shortest(for: prefix), !prefix.holdsMappedIPv4,
                prefixes.count < Self.limit
            {
                prefixes.append(prefix)
            } else {
                // It goes into a log: what nobody could mean is not repeated.
                refused.append(prefix.map { "\($0)" } ?? "what is no network")
            }
        }
        self.prefixes = prefixes
        self.refused = refused
    }

    /// Says what is refused, and what to do about it.
    package static func refusal(_ refused: [String]) -> String {
        "tailscaled advertises \(refused.prefix(3).joined(separator: ", "))\(refused.count > 3 ? ", ..." : ""): not kept, "
            + "for it is no network, too much of the internet, or beyond the first \(limit); "
            + "if the node is to route it, write it into `local`"
    }

    /// A private network may be as wide as it likes. Public ones are somebody's at most in part, and exit traffic to the rest
    /// of the internet must not leave by the host's routing only because somebody advertises it: 256 of these are less than
    /// half a percent of it.
    private static func shortest(for prefix: IPPrefix) -> Int {
        if let network = privateNetworks.first(where: { $0.contains(prefix.address) }) { return network.length }
        return prefix.address.isV4 ? 16 : 32
    }

    /// RFC 1918, RFC 6598, RFC 4193.
    private static let privateNetworks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]
        .compactMap { IPPrefix($0) }
}

/// Of tailscaled's preferences (`ipn.Prefs`), what concerns us.
private struct Preferences: Decodable {
    let advertiseRoutes: [String]?

    enum CodingKeys: String, CodingKey { case advertiseRoutes = "AdvertiseRoutes" }
}

extension LocalAPI {
    /// The preferences have some fifty members; a thousand routes are 20 kB.
    private static let preferencesLimit = 1 << 20

    func subnetRoutes() -> EventLoopFuture<SubnetRoutes> {
        get("/localapi/v0/prefs", atMost: Self.preferencesLimit).flatMapThrowing { body in
            guard let preferences = try? JSONDecoder().decode(Preferences.self, from: Data(body.readableBytesView))
            else {
                throw LocalAPIFailure("the answer is not tailscaled's preferences")
            }
            return SubnetRoutes(told: preferences.advertiseRoutes ?? [])
        }
    }
}
