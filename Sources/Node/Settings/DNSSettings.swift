package import LinuxNetwork
package import PacketParse
package import SplitDNS

/// How names are split.
package struct DNSSettings: Sendable, Equatable {
    package var mode = Switch.on
    package var listen = Endpoint(IPAddress(v4: 0x7f00_0033), 53)
    package var direct = IPAddress(v4: 0x0909_0909)
    /// None: what `/etc/resolv.conf` names.
    package var vpn: IPAddress?
    package var directNames: [DomainName] = []
}

package enum Switch: String, CaseIterable, Sendable { case on, off }

/// `127.0.0.51:53` or `[::1]:53`.
func resolverEndpoint(_ text: String) throws(Misfit) -> Endpoint {
    guard let colon = text.lastIndex(of: ":") else { throw Misfit(reason: "is not an address, a colon and a port") }
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    guard let address = IPAddress(host), address.isLoopback else {
        throw Misfit(reason: "has no address of loopback, and nobody else's questions are answered")
    }
    guard text[colon...] == ":53" else {
        throw Misfit(reason: "has another port than 53, and resolv.conf can name no other")
    }
    return Endpoint(address, 53)
}

func resolverAddress(_ text: String) throws(Misfit) -> IPAddress {
    guard let address = IPAddress(text), address.isForwardable else {
        throw Misfit(reason: "is no address of a resolver elsewhere")
    }
    guard !IPAddress.tailscaleServices.contains(address) else {
        throw Misfit(reason: "is tailscaled itself, which asks whom resolv.conf names: us")
    }
    return address
}

func resolverAddress(_ text: String) throws(Misfit) -> IPAddress? {
    let address: IPAddress = try resolverAddress(text)
    return address
}

/// Names joined by commas; none is a list too.
func domainNames(_ text: String) throws(Misfit) -> [DomainName] {
    guard !text.isEmpty else { return [] }
    var names: [DomainName] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let written = String(part.drop { $0 == " " })
        guard let name = DomainName(written) else {
            throw Misfit(reason: "holds \"\(written)\", which is no name of at least two labels, as example.org is")
        }
        names.append(name)
    }
    return names
}
