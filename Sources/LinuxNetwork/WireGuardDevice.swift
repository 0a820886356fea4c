internal import CNetlink
import Glibc
import LinuxSystem
import PacketParse

/// What a WireGuard interface tells of itself: by what its own packets are known, and what came of them.
///
/// Its keys are told, too, by both ways of asking. They are neither kept nor passed on.
package struct WireGuardDevice: Hashable, Sendable {
    /// Who answered.
    package enum Source: String, Codable, Sendable {
        /// The kernel's own WireGuard, by netlink.
        case kernel
        /// A process that makes the tunnel (wireguard-go, boringtun), by its socket.
        case process
    }

    package struct Peer: Hashable, Sendable {
        /// Where its packets go; none while nobody has said so.
        package var endpoint: Endpoint?
        /// Seconds of Unix time; none where there never was one.
        package var lastHandshake: UInt64?
        /// Octets of what could be decrypted, handshakes and keepalives among them.
        package var receivedBytes: UInt64 = 0
        package var sentBytes: UInt64 = 0

        package init() {}

        /// Zero stands for never, and beyond the year 9999 no date can be written.
        static func moment(_ seconds: UInt64) -> UInt64? { (1...253_402_300_799).contains(seconds) ? seconds : nil }
    }

    package let source: Source
    /// What its own packets bear on their way to the endpoints; zero for nothing.
    package let mark: UInt32
    package let peers: [Peer]

    package init(_ source: Source, mark: UInt32, peers: [Peer]) {
        self.source = source
        self.mark = mark
        self.peers = peers
    }

    /// Of the newest handshake.
    package var lastHandshake: UInt64? { peers.compactMap(\.lastHandshake).max() }
    package var receivedBytes: UInt64 { peers.reduce(0) { $0 &+ $1.receivedBytes } }
    package var sentBytes: UInt64 { peers.reduce(0) { $0 &+ $1.sentBytes } }

    /// Asks whoever makes the interface; nil where nobody tells, as for a tunnel that is no WireGuard, or is one inside a
    /// process without a socket (Gluetun's). Takes `WireGuardSocket.patience` at most.
    package static func read(_ link: Link) -> WireGuardDevice? {
        do throws(KernelError) {
            // By its kind, for the mere question after the family would have the kernel load a module.
            return link.kind == WG_GENL_NAME
                ? WireGuardDevice(messages: try GenericNetlink(WG_GENL_NAME).wireGuard(link))
                : try WireGuardSocket.read("/var/run/wireguard/\(link.name).sock")
        } catch {
            return nil
        }
    }
}

// MARK: The kernel's

/// A family of the kernel's interfaces that is known by a name and, to this kernel, by a number.
struct GenericNetlink: ~Copyable {
    private let socket: NetlinkSocket
    let number: UInt16

    /// ENOENT where the kernel has no such family.
    init(_ family: String) throws(KernelError) {
        let socket = try NetlinkSocket(.generic)
        var header = genlmsghdr()
        header.cmd = UInt8(CTRL_CMD_GETFAMILY)
        header.version = 1
        var request = NetlinkRequest("CTRL_CMD_GETFAMILY", Int(GENL_ID_CTRL), family, header)
        request.put(Int(CTRL_ATTR_FAMILY_NAME), family)
        let number = try socket.exchange(request).compactMap { reply in
            reply.attributes(after: genlmsghdr.self).integer(Int(CTRL_ATTR_FAMILY_ID), UInt16.self)
        }
        guard let number = number.first else { throw KernelError("CTRL_CMD_GETFAMILY", .badMessage, family) }
        self.socket = socket
        self.number = number
    }

    /// The attributes of each message of an answer. Takes CAP_NET_ADMIN.
    fileprivate func wireGuard(_ link: Link) throws(KernelError) -> [NetlinkAttributes] {
        var header = genlmsghdr()
        header.cmd = UInt8(WG_CMD_GET_DEVICE.rawValue)
        header.version = UInt8(WG_GENL_VERSION)
        var request = NetlinkRequest("WG_CMD_GET_DEVICE", Int(number), link.name, flags: NLM_F_DUMP, header)
        request.put(Int(WGDEVICE_A_IFINDEX.rawValue), UInt32(bitPattern: link.index))
        return try socket.exchange(request).map { $0.attributes(after: genlmsghdr.self) }
    }
}

extension WireGuardDevice {
    /// From the kernel's answer. Nil for an answer of no message.
    init?(messages: [NetlinkAttributes]) {
        guard !messages.isEmpty else { return nil }
        let peers = messages.flatMap { message in
            // The elements of a list bear the number zero.
            message.nested(Int(WGDEVICE_A_PEERS.rawValue))?.allNested(0) ?? []
        }
        self.init(
            .kernel,
            // Only the first message tells it.
            mark: messages.compactMap { $0.integer(Int(WGDEVICE_A_FWMARK.rawValue), UInt32.self) }.first ?? 0,
            peers: peers.compactMap(Peer.init))
    }
}

extension WireGuardDevice.Peer {
    /// Nil for the rest of a peer whose networks did not fit one message: it tells networks alone.
    fileprivate init?(_ attributes: NetlinkAttributes) {
        guard let received = attributes.integer(Int(WGPEER_A_RX_BYTES.rawValue), UInt64.self) else { return nil }
        receivedBytes = received
        sentBytes = attributes.integer(Int(WGPEER_A_TX_BYTES.rawValue)) ?? 0
        endpoint = attributes.octets(Int(WGPEER_A_ENDPOINT.rawValue)).flatMap(Endpoint.init(socketAddress:))
        // struct __kernel_timespec: seconds, then nanoseconds.
        let seconds = attributes.integer(Int(WGPEER_A_LAST_HANDSHAKE_TIME.rawValue), UInt64.self)
        lastHandshake = seconds.flatMap(Self.moment)
    }
}

extension Endpoint {
    /// A `sockaddr_in` or a `sockaddr_in6`: family, port, and for IPv6 a flow label before the address.
    fileprivate init?(socketAddress octets: [UInt8]) {
        guard octets.count >= 16 else { return nil }
        let family = unsafe octets.withUnsafeBytes { unsafe $0.loadUnaligned(as: sa_family_t.self) }
        let isV6 = family == sa_family_t(AF_INET6)
        guard isV6 || family == sa_family_t(AF_INET),
            let address = IPAddress(octets: Array(isV6 ? octets.dropFirst(8).prefix(16) : octets[4..<8]))
        else { return nil }
        self.init(address, UInt16(octets[2]) << 8 | UInt16(octets[3]))
    }
}
