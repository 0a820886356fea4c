import LinuxSystem
import PacketParse
import Testing

@testable import LinuxNetwork

@Suite(.enabled(if: isRoot, needsRoot))
struct NeighbourTests {
    /// Whether `ip neigh` calls the neighbour managed; its JSON says so with a null.
    private func isManaged(_ address: String) throws -> Bool {
        String(decoding: try answer("ip neigh show to \(address) dev left nud all"), as: UTF8.self).contains(
            " managed ")
    }

    @Test(arguments: ["10.0.0.1", "fd00::1"])
    func `a managed neighbour is one that ip shows as managed, until it is removed`(text: String) throws {
        try inFreshNamespace {
            try makeVethPair()
            try answer("ip link set right up")
            try answer("ip link set left up")
            try answer("ip addr add 10.0.0.2/24 dev left")
            try answer("ip addr add fd00::2/64 dev left nodad")
            let netlink = try Netlink()
            let left = try #require(try netlink.link(named: "left"))
            let address = try #require(IPAddress(text))
            // Linux before 5.16 manages no neighbours: what ip reaches, we must.
            let other = address.isV4 ? "10.0.0.9" : "fd00::9"
            try answer("ip neigh replace \(other) dev left managed")
            let canManage = try isManaged(other)
            #expect(try netlink.manageNeighbour(address, on: left) == canManage)
            #expect(try isManaged(text) == canManage)
            #expect(try netlink.manageNeighbour(address, on: left) == canManage, "a second time is no harm")
            try netlink.removeNeighbour(address, on: left)
            #expect(try !isManaged(text))
        }
    }

    @Test func `a neighbour on a link that is gone is refused`() throws {
        try inFreshNamespace {
            try makeVethPair()
            let netlink = try Netlink()
            let left = try #require(try netlink.link(named: "left"))
            try netlink.delete(left)
            let address = try #require(IPAddress("10.0.0.1"))
            let refusal = #expect(throws: KernelError.self) { try netlink.manageNeighbour(address, on: left) }
            #expect(refusal?.errno.rawValue == 19, "ENODEV")
            #expect(refusal?.subject == "left 10.0.0.1")
        }
    }
}
