import NIOCore
import NIOHTTP1

/// What a request asks for, and of whom (RFC 9112 section 3.2).
struct Target {
    /// As who asks calls us; nil where HTTP/1.0 does not say.
    let host: Substring?
    let path: String

    /// Nil where it does not say of whom, or says two.
    init?(_ request: HTTPRequestHead) {
        let named = request.headers["Host"]
        guard named.count == 1 || (named.isEmpty && request.version == .http1_0) else { return nil }
        var host = named.first.map { $0[...] }
        var uri = request.uri[...]
        let scheme = "http://"
        if uri.prefix(scheme.count).lowercased() == scheme {
            let rest = uri.dropFirst(scheme.count)
            host = rest.prefix { $0 != "/" && $0 != "?" }
            uri = rest.dropFirst(host?.count ?? 0)
        }
        self.host = host
        path = String(uri.prefix { $0 != "?" })
    }

    /// Whether it calls us by an address, or by the one name that every host gives itself. Any other name may be a web page's
    /// that leads here for whoever reads the page (DNS rebinding).
    var isAddressOrLocalhost: Bool {
        guard let host else { return true }
        let isBracketed = host.hasPrefix("[")
        let name = isBracketed ? host.dropFirst().prefix { $0 != "]" } : host.prefix { $0 != ":" }
        return name.lowercased() == "localhost" || (try? SocketAddress(ipAddress: String(name), port: 0)) != nil
    }
}
