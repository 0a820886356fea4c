package import LinuxNetwork
import Steering

/// The VPN's tunnel: how its own packets are known on the uplink, and how long it may be silent.
package struct TunnelSettings: Sendable, Equatable {
    /// None: what the interface tells.
    package var endpoint: Endpoint?
    /// None: what the interface tells, else WireGuard's and Gluetun's usual one.
    package var mark: UInt32?
    package var stale = Seconds(180)

    package static let usualMark: UInt32 = 51_820

    /// By which everything else is routed into the tunnel: Gluetun and wg-quick give it the mark's number. Below 256 it would
    /// be the kernel's own, or Tailscale's.
    var table: UInt32 { mark.flatMap { $0 > 255 ? $0 : nil } ?? Self.usualMark }
}

/// A time that a person writes: whole seconds.
package struct Seconds: Sendable, Hashable, CustomStringConvertible {
    package let count: Int

    package init(_ count: Int) { self.count = count }

    package var duration: Duration { .seconds(count) }
    package var description: String { "\(count)s" }
}

func vpnEndpoint(_ text: String) throws(Misfit) -> Endpoint? {
    guard let endpoint = Endpoint(text), endpoint.port > 0 else {
        throw Misfit(reason: "is no address, colon and port; IPv6 is written [2001:db8::1]:51820")
    }
    guard endpoint.address.isForwardable else {
        throw Misfit(reason: "has an address by which nobody is reached over the uplink")
    }
    return endpoint
}

/// `51820` or `0xca6c`.
func fwmark(_ text: String) throws(Misfit) -> UInt32? {
    let mark = try markNumber(text)
    for other in [PacketMark.bypass, .control, .question] where mark & other.mask == other.value {
        throw Misfit(reason: "bears \(other), by which Tailscale's control plane is known")
    }
    return mark
}

private func markNumber(_ text: String) throws(Misfit) -> UInt32 {
    guard text.hasPrefix("0x") else { return try wholeNumber(text, in: 1...UInt32.max) }
    let digits = text.dropFirst(2)
    guard !digits.isEmpty, digits.utf8.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }) else {
        throw Misfit(reason: "is not a whole number")
    }
    guard let mark = UInt32(digits, radix: 16), mark > 0 else {
        throw Misfit(reason: "is outside 0x1 to 0xffffffff")
    }
    return mark
}

/// `180s` or `3m`.
func seconds(_ text: String) throws(Misfit) -> Seconds {
    guard let unit = ["s": 1, "m": 60][text.suffix(1)] else {
        throw Misfit(reason: "has no unit, which is s or m")
    }
    let number: Int
    do {
        number = try wholeNumber(String(text.dropLast()), in: 0...3_600)
    } catch {
        throw Misfit(reason: "is not 2s to 60m")
    }
    guard (2...3_600).contains(number * unit) else { throw Misfit(reason: "is not 2s to 60m") }
    return Seconds(number * unit)
}
