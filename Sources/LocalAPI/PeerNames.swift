internal import FoundationEssentials
import LinuxNetwork
import LinuxSystem
import NIOCore
import NIOPosix
package import PacketParse
import Synchronization

/// Names of a tailnet's machines by their addresses, as tailscaled tells them.
///
/// What a machine is called its owner says, and a terminal obeys what it is shown: only names of printable ASCII are believed.
package struct PeerNames: Equatable, Sendable {
    private var names: [IPAddress: String] = [:]

    package subscript(address: IPAddress) -> String? { names[address] }

    /// Asks at a socket and waits for the answer, a second to be told, and half of one to read it. What is made to
    /// be read slowly is read to its end by nobody's waiting.
    package static func answer(at socket: String) throws(LocalAPIFailure) -> PeerNames {
        let reply: Reply
        do throws(KernelError) {
            reply = try Reply()
        } catch {
            throw LocalAPIFailure("\(error)")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        LocalAPI(socket: socket, loop: group.next()).peerNames().whenComplete { outcome in
            reply.give(outcome.mapError { $0 as? LocalAPIFailure ?? LocalAPIFailure("\($0)") })
            group.shutdownGracefully { _ in }
        }
        return try reply.take(milliseconds: 1_500)
    }

    fileprivate init(_ status: Status) {
        for peer in status.peers.prefix(Self.limit) {
            guard let name = peer.name(in: status.domain) else { continue }
            for address in (peer.addresses ?? []).prefix(8).compactMap({ IPAddress($0) }) { names[address] = name }
        }
    }

    /// Twice as many as a tailnet of the largest plan.
    private static let limit = 16_384
}

/// Where the answer is left and picked up.
private final class Reply: Sendable {
    private let answer = Mutex<Result<PeerNames, LocalAPIFailure>?>(nil)
    private let given: EventDescriptor

    init() throws(KernelError) { given = try EventDescriptor() }

    func give(_ outcome: Result<PeerNames, LocalAPIFailure>) {
        answer.withLock { $0 = outcome }
        given.signal()
    }

    func take(milliseconds: Int32) throws(LocalAPIFailure) -> PeerNames {
        _ = given.wait(milliseconds: milliseconds)
        guard let outcome = answer.withLock({ $0 }) else {
            throw LocalAPIFailure("the answer takes too long to read")
        }
        return try outcome.get()
    }
}

extension LocalAPI {
    /// A machine is some kilobyte of it.
    private static let statusLimit = 4 << 20

    /// What a person at a terminal waits for beside what is theirs; others who ask the node meanwhile wait with them.
    private static let namePatience = TimeAmount.seconds(1)

    func peerNames() -> EventLoopFuture<PeerNames> {
        get("/localapi/v0/status", atMost: Self.statusLimit, within: Self.namePatience).flatMapThrowing { body in
            guard let status = try? JSONDecoder().decode(Status.self, from: Data(body.readableBytesView)) else {
                throw LocalAPIFailure("the answer is not tailscaled's status")
            }
            return PeerNames(status)
        }
    }
}

/// Of tailscaled's status (`ipnstate.Status`), what concerns us.
private struct Status: Decodable {
    struct Peer: Decodable {
        let hostName: String?
        let domainName: String?
        let addresses: [String]?

        enum CodingKeys: String, CodingKey {
            case hostName = "HostName"
            case domainName = "DNSName"
            case addresses = "TailscaleIPs"
        }

        /// As `tailscale status` shows it: without the tailnet's own domain, which all but guests have.
        func name(in domain: String?) -> String? {
            var name = domainName ?? ""
            if name.hasSuffix(".") { name.removeLast() }
            if let domain, !domain.isEmpty, name.hasSuffix("." + domain) { name.removeLast(domain.count + 1) }
            return [name, hostName].compactMap(\.self).first { isBelievable($0) }
        }

        /// The length is that of the longest name in DNS (RFC 1035 section 2.3.4). Two blanks stand between the columns of a
        /// table, and not in a name.
        private func isBelievable(_ name: String) -> Bool {
            (1...253).contains(name.utf8.count) && name.utf8.allSatisfy { (0x20...0x7e).contains($0) }
                && !name.contains("  ")
        }
    }

    let domain: String?
    let own: Peer?
    let others: [String: Peer]?

    var peers: [Peer] { (own.map { [$0] } ?? []) + (others.map { Array($0.values) } ?? []) }

    enum CodingKeys: String, CodingKey {
        case domain = "MagicDNSSuffix"
        case own = "Self"
        case others = "Peer"
    }
}
