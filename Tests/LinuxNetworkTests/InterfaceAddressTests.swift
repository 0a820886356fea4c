import LinuxSystem
import PacketParse
import Testing

@testable import LinuxNetwork

@Suite(.enabled(if: isRoot, needsRoot))
struct InterfaceAddressTests {
    /// What `ip -j addr` says of a link.
    private struct Oracle: Decodable {
        struct Address: Decodable {
            let local: String?
            let prefixlen: Int?
            let scope: String?
            let deprecated: Bool?
            let tentative: Bool?

            var words: String {
                "\(local ?? "")/\(prefixlen ?? 0) \(scope ?? "") \(deprecated ?? false) \(tentative ?? false)"
            }
        }

        let addrInfo: [Address]

        static func words(of link: Link) throws -> Set<String> {
            Set(try answer("ip -j addr show dev \(link.name)", as: [Oracle].self).flatMap { $0.addrInfo.map(\.words) })
        }
    }

    private func words(_ addresses: [InterfaceAddress]) -> Set<String> {
        Set(addresses.map { "\($0.address)/\($0.prefixLength) \($0.scope) \($0.isDeprecated) \($0.isTentative)" })
    }

    @Test func `a link's addresses are those that ip shows, with scope and state`() throws {
        try inFreshNamespace {
            try makeVethPair()
            // Its other end stays down: without a carrier duplicate detection does not end, nor change the picture below.
            try answer("ip link set left up addrgenmode none")
            try answer("ip addr add 10.0.0.1 peer 10.0.0.2/32 dev left")
            try answer("ip addr add 169.254.7.7/16 scope link dev left")
            try answer("ip addr add fd00::1/64 dev left nodad")
            try answer("ip addr add fd00::2/64 dev left preferred_lft 0 nodad")
            try answer("ip addr add fd00::3/64 dev left")
            try answer("ip addr add 192.0.2.1/24 dev right")
            let netlink = try Netlink()
            let left = try #require(try netlink.link(named: "left"))
            let addresses = try netlink.addresses(of: left)
            #expect(words(addresses) == (try Oracle.words(of: left)))
            #expect(addresses.count == 5)
            #expect(addresses.filter(\.isDeprecated).map(\.address.description) == ["fd00::2"])
            #expect(addresses.contains { $0.isTentative && $0.address.description == "fd00::3" })
            #expect(addresses.contains { $0.address.description == "10.0.0.1" }, "not the peer's")
        }
    }

    @Test(arguments: ["10.9.8.7", "fd00::7"])
    func `an address that is added can be used at once, and is gone when removed`(text: String) throws {
        try inFreshNamespace {
            try makeVethPair()
            let netlink = try Netlink()
            let address = try #require(IPAddress(text))
            let left = try #require(try netlink.link(named: "left"))
            try netlink.disableAddressGeneration(on: left)
            try netlink.bringUp(left)
            try netlink.add(address, prefixLength: 24, to: left)
            let held = try netlink.addresses(of: left)
            #expect(held.map(\.address) == [address])
            #expect(held.map(\.isTentative) == [false])
            #expect(words(held) == (try Oracle.words(of: left)))

            let refusal = #expect(throws: KernelError.self) { try netlink.add(address, prefixLength: 24, to: left) }
            #expect(refusal?.description == "RTM_NEWADDR left \(text)/24: File exists")

            try netlink.remove(address, prefixLength: 24, from: left)
            #expect(try netlink.addresses(of: left).isEmpty)
            let absence = #expect(throws: KernelError.self) {
                try netlink.remove(address, prefixLength: 24, from: left)
            }
            #expect(absence?.errno == .addressNotAvailable)
        }
    }
}
