import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// Who borrows which port, against sets.
struct BindingsTests {
    private static let seed = HashSeed(first: 3, second: 5)

    /// Flows and their bindings without a table: the set of outside names is the naive model.
    private struct Lender: ~Copyable {
        struct Name: Hashable {
            let port: UInt16
            let remote: IPAddress
            let remotePort: UInt16
            let transport: Transport
        }

        var bindings: Bindings
        let words = LiveWords()
        var taken: [Name: Flow] = [:]
        /// How often the last beginning asked whether a port is free.
        var tries = 0

        init(range: ClosedRange<UInt16>) throws {
            bindings = try Bindings(range: range, live: words.bindings, seed: BindingsTests.seed)
        }

        mutating func lend(_ inside: FlowKey) -> UInt16? {
            func name(_ port: UInt16) -> Name {
                Name(port: port, remote: inside.remote, remotePort: inside.remotePort, transport: inside.transport)
            }
            var tries = 0
            let loan = bindings.lend(inside) { [taken] port in
                tries += 1
                return taken[name(port)] == nil
            }
            self.tries = tries
            guard let loan else { return nil }
            let outside = FlowKey(
                local: .unspecified, remote: inside.remote, localPort: loan.port, remotePort: inside.remotePort,
                transport: inside.transport)
            taken[name(loan.port)] = Flow(
                inside: inside, insideHash: 0, outside: outside, outsideHash: 0, binding: loan.binding, state: .opening,
                now: 1)
            return loan.port
        }

        mutating func end(_ name: Name) {
            if let flow = taken.removeValue(forKey: name) { bindings.takeBack(flow) }
        }

        mutating func endAll() { for name in Array(taken.keys) { end(name) } }

        func ports(_ transport: Transport) -> Set<UInt16> {
            Set(taken.keys.filter { $0.transport == transport }.map(\.port))
        }
    }

    private static func key(
        _ transport: Transport, client: Int, port: UInt16, remote: Int, remotePort: UInt16 = 443, isV4: Bool = true
    ) -> FlowKey {
        let isEcho = transport == .icmp || transport == .icmpv6
        let local =
            isV4 ? IPAddress(v4: 0x6440_0000 + UInt32(client)) : IPAddress(bits: 0xfd7a << 112 + UInt128(client))
        let far = isV4 ? IPAddress(v4: 0xcb00_7100 + UInt32(remote)) : IPAddress(bits: 0x2001 << 112 + UInt128(remote))
        return FlowKey(
            local: local, remote: far, localPort: port, remotePort: isEcho ? 0 : remotePort, transport: transport)
    }

    @Test(arguments: [Transport.udp, .icmp, .icmpv6], [true, false])
    func `a client's port keeps one number towards every remote`(transport: Transport, isV4: Bool) throws {
        var lender = try Lender(range: 1000...1099)
        for client in 0..<75 {
            let ports = (0..<6).map {
                lender.lend(Self.key(transport, client: client, port: 5000, remote: $0, isV4: isV4))
            }
            #expect(Set(ports).count == 1)
            #expect(ports[0].map { (1000...1074).contains($0) } == true)
        }
        let owners = Set(lender.taken.keys.map(\.port))
        #expect(owners.count == 75)
    }

    @Test(arguments: [Transport.udp, .icmp])
    func `when three quarters are lent whole the rest is shared between remotes`(transport: Transport) throws {
        var lender = try Lender(range: 1000...1099)
        for client in 0..<75 { _ = lender.lend(Self.key(transport, client: client, port: 5000, remote: 0)) }
        // Each remote can be reached by 25 more.
        for remote in 0..<20 {
            let ports = (100..<126).map { lender.lend(Self.key(transport, client: $0, port: 5000, remote: remote)) }
            #expect(Set(ports.compactMap { $0 }) == Set(1075...1099))
            #expect(ports.count { $0 == nil } == 1)
        }
        // A number comes back to the first part, and with it the right to be the only one.
        let first = try #require(lender.taken.keys.first { $0.port < 1075 })
        lender.end(first)
        let again = lender.lend(Self.key(transport, client: 500, port: 1, remote: 3))
        #expect(again == first.port)
    }

    @Test func `TCP shares a port between remotes, and a remote's ports end exactly with the range`() throws {
        var lender = try Lender(range: 1000...1099)
        for remote in 0..<10 {
            let ports = (0..<101).map { lender.lend(Self.key(.tcp, client: $0, port: 5000, remote: remote)) }
            #expect(ports.prefix(100).allSatisfy { $0 != nil })
            #expect(ports[100] == nil)
            #expect(Set(ports.compactMap { $0 }).count == 100)
        }
        let inUse = lender.bindings.inUse
        #expect(inUse == 100)

        // One flow ends: its port, and no other, is to be had towards its remote.
        let ended = try #require(lender.taken.keys.first { $0.remote == IPAddress(v4: 0xcb00_7104) })
        lender.end(ended)
        let elsewhere = lender.lend(Self.key(.tcp, client: 200, port: 1, remote: 5))
        #expect(elsewhere == nil)
        let again = lender.lend(Self.key(.tcp, client: 200, port: 1, remote: 4))
        #expect(again == ended.port)
    }

    @Test func `a beginning tries few ports, and finds one while a twentieth is free`() throws {
        var lender = try Lender(range: 16384...32767)
        var firstRefusal: Int?
        var mostTries = 0
        for client in 0..<17_000 {
            let port = lender.lend(Self.key(.tcp, client: client, port: 5000, remote: 0))
            mostTries = max(mostTries, lender.tries)
            if port == nil { firstRefusal = firstRefusal ?? lender.taken.count }
        }
        #expect(mostTries == 256)
        #expect(try #require(firstRefusal) > 16_384 * 19 / 20)
    }

    @Test func `TCP keeps a client's port across remotes where it is free`() throws {
        var lender = try Lender(range: 16384...32767)
        let ports = Set((0..<50).map { lender.lend(Self.key(.tcp, client: 1, port: 5000, remote: $0)) })
        #expect(ports.count == 1)
    }

    @Test(arguments: [Transport.tcp, .udp])
    func `a port that the host holds is never lent, and can be had when the host lets go`(transport: Transport) throws {
        var lender = try Lender(range: 1000...1039)
        let held = Array(UInt16(1000)...1037)
        lender.bindings.hold(transport, ports: held)
        let first = (0..<4).map { lender.lend(Self.key(transport, client: $0, port: 5000, remote: 1)) }
        #expect(Set(first.compactMap { $0 }) == [1038, 1039])
        // The refusal must not outlast its reason, though no flow to this remote ends.
        lender.bindings.hold(transport, ports: Array(held.dropLast()))
        let later = lender.lend(Self.key(transport, client: 9, port: 5000, remote: 1))
        #expect(later == 1037)
    }

    @Test func `what the host holds for one protocol says nothing about another`() throws {
        var lender = try Lender(range: 1000...1000)
        lender.bindings.hold(.tcp, ports: [1000])
        let lent = [Transport.tcp, .udp, .icmp].map { lender.lend(Self.key($0, client: 0, port: 1, remote: 0)) }
        #expect(lent == [nil, 1000, 1000])
    }

    @Test func `IPv4 and IPv6 do not take each other's ports`() throws {
        var lender = try Lender(range: 1000...1019)
        for transport in [Transport.tcp, .udp] {
            for isV4 in [true, false] {
                let ports = (0..<21).map {
                    lender.lend(Self.key(transport, client: $0, port: 1, remote: 0, isV4: isV4))
                }
                #expect(ports.count { $0 == nil } == 1)
            }
        }
        // A port stays open as long as either family uses it.
        for name in Array(lender.taken.keys) where name.remote.isV4 { lender.end(name) }
        #expect(lender.words.openPorts(.udp).count == 20)
        #expect(lender.words.openPorts(.tcp).count == 20)
    }

    @Test func `no more ports are in use than there are, however many protocols use them`() throws {
        var lender = try Lender(range: 1000...1009)
        for client in 0..<10 {
            for (transport, isV4) in [(Transport.tcp, true), (.udp, true), (.udp, false), (.icmp, true)] {
                _ = lender.lend(Self.key(transport, client: client, port: 1, remote: 0, isV4: isV4))
            }
        }
        let full = lender.bindings.inUse
        #expect(full == 10)
        for name in Array(lender.taken.keys) where name.transport == .tcp { lender.end(name) }
        let withoutTCP = lender.bindings.inUse
        #expect(withoutTCP == 10)
    }

    @Test(arguments: [UInt16(1), 2, 3, 4, 7, 64, 97])
    func `a range of any width is lent to its last number`(width: UInt16) throws {
        for transport in [Transport.tcp, .udp, .icmp] {
            var lender = try Lender(range: (65_535 - width + 1)...65_535)
            let ports = (0...Int(width)).map { lender.lend(Self.key(transport, client: $0, port: 9, remote: 0)) }
            #expect(Set(ports.compactMap { $0 }).count == Int(width))
            #expect(ports.last == .some(nil))
        }
    }

    @Test func `what the outside may answer to is always what flows use, and nothing when all have ended`() throws {
        var random = RandomNumbers(seed: 21)
        var lender = try Lender(range: 1000...1049)
        let transports: [Transport] = [.tcp, .udp, .icmp, .icmpv6]
        var wrong = 0
        for step in 0..<6000 {
            if Int.random(in: 0..<5, using: &random) < 3 {
                let transport = transports.randomElement(using: &random) ?? .tcp
                let isV4 = transport == .icmp || (transport != .icmpv6 && Bool.random(using: &random))
                let key = Self.key(
                    transport, client: .random(in: 0..<30, using: &random), port: .random(in: 0..<4, using: &random),
                    remote: .random(in: 0..<6, using: &random), isV4: isV4)
                if !lender.taken.values.contains(where: { $0.insideKey == key }) { _ = lender.lend(key) }
            } else if let name = lender.taken.keys.randomElement(using: &random) {
                lender.end(name)
            }
            guard step % 50 == 0 else { continue }
            for transport in [Transport.tcp, .udp] where lender.words.openPorts(transport) != lender.ports(transport) {
                wrong += 1
            }
            let queries = lender.taken.keys.filter { $0.transport == .icmp || $0.transport == .icmpv6 }
            let marks = queries.map { LiveBindings.fingerprint($0.remote, $0.port) }.sorted()
            if lender.words.openQueries != marks { wrong += 1 }
            if lender.bindings.inUse != max(lender.ports(.tcp).count, lender.ports(.udp).count) { wrong += 1 }
        }
        #expect(wrong == 0)

        lender.endAll()
        #expect(lender.words.openPorts(.tcp).isEmpty && lender.words.openPorts(.udp).isEmpty)
        #expect(lender.words.openQueries.isEmpty)
        let inUse = lender.bindings.inUse
        #expect(inUse == 0)
        // Nothing has leaked: the whole range can be lent whole again, for either family.
        for isV4 in [true, false] {
            let ports = (0..<37).map { lender.lend(Self.key(.udp, client: 900 + $0, port: 1, remote: 0, isV4: isV4)) }
            #expect(Set(ports.compactMap { $0 }).count == 37)
            #expect(ports.allSatisfy { $0.map { $0 < 1037 } == true })
        }
    }

    @Test func `a refusal for want of room among the fingerprints leaves no binding behind`() throws {
        var lender = try Lender(range: 1000...1099)
        // All of the fingerprints' memory is taken.
        let live = lender.words.bindings
        var filler: UInt32 = 0
        for _ in 0..<200_000 {
            _ = live.open(query: 1, to: IPAddress(v4: filler))
            filler += 1
        }
        let refused = (0..<200).map { lender.lend(Self.key(.icmp, client: $0, port: 1, remote: 0)) }.count { $0 == nil }
        #expect(refused > 0)
        for number in 0..<filler { live.close(query: 1, to: IPAddress(v4: number)) }
        let lent = (200..<275).compactMap { lender.lend(Self.key(.icmp, client: $0, port: 1, remote: 0)) }
        let whole = Set(lender.taken.values.filter { $0.binding != 0 }.map(\.outsidePort))
        #expect(lent.count == 75)
        #expect(whole.count == 75)
    }
}
