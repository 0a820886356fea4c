package import LinuxNetwork
import PacketParse

/// Where metrics and health are told over HTTP, and to whom.
package struct AdminSettings: Sendable, Equatable {
    /// None: nowhere.
    package var listen: Endpoint? = Endpoint(IPAddress(v4: 0x7f00_0001), 10_586)
    /// Of the secret that who asks must bring; none where everybody who reaches the endpoint may ask.
    package var tokenFile: String?

    /// Sees that strangers are asked for a secret.
    func fit() throws(Refusal) {
        guard let listen, !listen.address.isLoopback, tokenFile == nil else { return }
        throw Refusal(
            couldNot: "use the setting admin_listen without admin_token_file",
            because: "\(listen) is reached by others, who would be told without a secret",
            remedy: "write for example --admin-listen 127.0.0.1:10586, or add --admin-token-file "
                + "/etc/forwarder/admin-token",
            exitCode: .usage)
    }
}

/// `127.0.0.1:10586`, `[::1]:10586`, or `none`.
func adminEndpoint(_ text: String) throws(Misfit) -> Endpoint? {
    guard text != "none" else { return nil }
    guard let colon = text.lastIndex(of: ":") else {
        throw Misfit(reason: "is not an address, a colon and a port, nor none")
    }
    var host = String(text[..<colon])
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = String(host.dropFirst().dropLast()) }
    guard let address = IPAddress(host), address.isV4 != isBracketed else {
        throw Misfit(reason: "has no address before its last colon (of IPv6 in brackets)")
    }
    guard !address.isMulticast, !address.isReserved || address.isUnspecified else {
        throw Misfit(reason: "has an address that is no host's")
    }
    do {
        return Endpoint(address, try wholeNumber(String(text[text.index(after: colon)...]), in: 1...65_535))
    } catch {
        throw Misfit(reason: "has a port that \(error.reason)")
    }
}
