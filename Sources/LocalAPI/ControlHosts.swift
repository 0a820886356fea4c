internal import FoundationEssentials
package import NIOCore

/// Of a relay map (`tailcfg.DERPMap`), what concerns us.
private struct RelayMap: Decodable {
    struct Region: Decodable {
        let nodes: [Node]?

        enum CodingKeys: String, CodingKey { case nodes = "Nodes" }
    }

    struct Node: Decodable {
        let hostName: String?

        enum CodingKeys: String, CodingKey { case hostName = "HostName" }
    }

    let regions: [String: Region]?

    enum CodingKeys: String, CodingKey { case regions = "Regions" }
}

/// Of tailscaled's preferences, where it logs in.
private struct LoginServer: Decodable {
    let controlURL: String?

    enum CodingKeys: String, CodingKey { case controlURL = "ControlURL" }
}

/// The hosts that tailscaled speaks to as such, as a server told them: who uses them judges whether they are names.
package struct ControlHosts: Sendable {
    /// Where it logs in; nil for an address.
    package let loginServer: String?
    /// The relays of its map; nil where it told none this time.
    package let relays: [String]?
}

extension LocalAPI {
    /// A map of today has some hundred relays and 60 kB; nobody's has these many.
    private static let relayLimit = 1_024
    private static let answerLimit = 1 << 20

    package func controlHosts() -> EventLoopFuture<ControlHosts> {
        loginServer().and(relays()).map { ControlHosts(loginServer: $0, relays: $1) }
    }

    private func relays() -> EventLoopFuture<[String]?> {
        get("/localapi/v0/derpmap", atMost: Self.answerLimit).map { body in
            // Before the first login there is none: null.
            let map = try? JSONDecoder().decode(RelayMap?.self, from: Data(body.readableBytesView))
            return map?.regions.map { regions in
                Array(regions.values.flatMap { $0.nodes ?? [] }.compactMap(\.hostName).prefix(Self.relayLimit))
            }
        }
        // Without a map there is still a login server.
        .recover { _ in nil }
    }

    private func loginServer() -> EventLoopFuture<String?> {
        get("/localapi/v0/prefs", atMost: Self.answerLimit).flatMapThrowing { body in
            guard let server = try? JSONDecoder().decode(LoginServer.self, from: Data(body.readableBytesView)) else {
                throw LocalAPIFailure("the answer is not tailscaled's preferences")
            }
            return server.controlURL.flatMap(Self.host(ofURL:))
        }
    }

    /// `https://USER@HOST:PORT/PATH`; an address in brackets is no name.
    static func host(ofURL url: String) -> String? {
        guard let scheme = url.firstRange(of: "://") else { return nil }
        let authority = url[scheme.upperBound...].prefix { !"/?#".contains($0) }
        let host = (authority.split(separator: "@").last ?? "").prefix { $0 != ":" }
        return host.isEmpty || host.hasPrefix("[") ? nil : String(host)
    }
}
