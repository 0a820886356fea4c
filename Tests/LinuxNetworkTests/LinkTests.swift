import Glibc
import LinuxSystem
import Testing

@testable import LinuxNetwork

@Suite(.enabled(if: isRoot, needsRoot))
struct LinkTests {
    /// What `ip -j -d link` says of a link.
    struct Oracle: Decodable {
        let ifindex: Int32
        let ifname: String
        let flags: [String]
        let mtu: UInt32
        let linkType: String
        let txqlen: UInt32?
        let inet6AddrGenMode: String?
        let linkinfo: Info?
        let stats64: Statistics

        struct Info: Decodable { let infoKind: String? }
        struct Statistics: Decodable {
            struct Received: Decodable { let packets: UInt64 }
            let rx: Received
        }

        static func all() throws -> [Oracle] { try answer("ip -j -d -s link show", as: [Oracle].self) }

        static func named(_ name: String) throws -> Oracle {
            try #require(try all().first { $0.ifname == name })
        }
    }

    @Test func `links of every sort are listed as ip lists them`() throws {
        try inFreshNamespace {
            try makeVethPair()
            try answer("ip tuntap add tunnel mode tun")
            try answer("ip link set left up mtu 1400")
            try answer("ip link set lo up")
            try answer("ping -c 2 -i 0.1 127.0.0.1")
            let links = try Netlink().links()
            let oracle = try Oracle.all()
            #expect(links.map(\.name).sorted() == ["left", "lo", "right", "tunnel"])
            #expect(links.map(\.index) == oracle.map(\.ifindex))
            #expect(links.map(\.name) == oracle.map(\.ifname))
            #expect(links.map(\.mtu) == oracle.map(\.mtu))
            #expect(links.map(\.isUp) == oracle.map { $0.flags.contains("UP") })
            #expect(links.map(\.kind) == oracle.map { $0.linkinfo?.infoKind })
            #expect(Set(links.map(\.kind)) == [nil, "tun", "veth"])
            #expect(links.map(\.receivedPackets) == oracle.map(\.stats64.rx.packets))
            #expect(links.first { $0.isLoopback }?.receivedPackets ?? 0 >= 4)
            #expect(links.map(\.isEthernet) == oracle.map { $0.linkType == "ether" })
        }
    }

    @Test func `a link is found by name and by index, and is nil once it is gone`() throws {
        try inFreshNamespace {
            try makeVethPair()
            let netlink = try Netlink()
            let left = try #require(try netlink.link(named: "left"))
            #expect(try netlink.link(index: left.index) == left)
            try answer("ip link delete left")
            #expect(try netlink.link(named: "left") == nil)
            #expect(try netlink.link(named: "right") == nil, "one end of a veth takes the other with it")
            #expect(try netlink.link(index: left.index) == nil)
        }
    }

    @Test func `what is set on a link is what ip then shows`() throws {
        try inFreshNamespace {
            try makeVethPair()
            let netlink = try Netlink()
            let left = try #require(try netlink.link(named: "left"))
            try netlink.bringUp(left)
            try netlink.setMTU(1280, of: left)
            try netlink.setTransmitQueueLength(4096, of: left)
            let oracle = try Oracle.named("left")
            #expect(oracle.flags.contains("UP"))
            #expect(oracle.mtu == 1280)
            #expect(oracle.txqlen == 4096)
        }
    }

    @Test func `a link without address generation comes up without a link-local address`() throws {
        try inFreshNamespace {
            try makeVethPair()
            let netlink = try Netlink()
            let left = try #require(try netlink.link(named: "left"))
            let right = try #require(try netlink.link(named: "right"))
            try netlink.disableAddressGeneration(on: left)
            #expect(try Oracle.named("left").inet6AddrGenMode == "none")
            let watch = try LinkWatch()
            for end in [left, right] { try netlink.bringUp(end) }
            // The other end, which may, has generated its own: so would this one have by now.
            while try netlink.addresses(of: right).isEmpty {
                var news = pollfd(fd: watch.descriptor, events: Int16(POLLIN), revents: 0)
                try #require(unsafe poll(&news, 1, 5000) == 1)
                _ = try watch.drain()
            }
            #expect(try netlink.addresses(of: right).map(\.scope) == [.link])
            #expect(try netlink.addresses(of: left).isEmpty)
        }
    }

    @Test func `a refusal names the call, the reason and the link`() throws {
        try inFreshNamespace {
            try makeVethPair()
            let netlink = try Netlink()
            let left = try #require(try netlink.link(named: "left"))
            let refusal = #expect(throws: KernelError.self) { try netlink.setMTU(10, of: left) }
            #expect(refusal?.description == "RTM_NEWLINK left: Invalid argument")
            try answer("ip link delete left")
            let absence = #expect(throws: KernelError.self) { try netlink.bringUp(left) }
            #expect(absence?.errno == .init(rawValue: 19), "ENODEV")
        }
    }

    @Test func `a name longer than a message is refused, not cut`() throws {
        let refusal = #expect(throws: KernelError.self) {
            try Netlink().link(named: String(repeating: "x", count: 1 << 17))
        }
        #expect(refusal?.errno == .messageTooLong)
    }
}
