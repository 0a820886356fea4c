import Glibc
import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// Fragments that overtook their first one: held, claimed once, and never for long.
@Suite(.serialized) struct HeldFragmentsTests {
    private static func datagram(
        _ source: [UInt8], _ port: UInt16, _ destination: [UInt8], _ other: UInt16, size: Int = 3001
    ) -> TestPacket {
        .udp(
            from: source, port, to: destination, other, payload: (0..<size).map { UInt8(truncatingIfNeeded: $0) })
    }

    private static func key(_ identification: UInt16) throws -> FragmentTable.Key {
        FragmentTable.Key(try piece(identification).summary())
    }

    private static func piece(_ identification: UInt16, from source: Int = 0) -> [UInt8] {
        let client = TestPacket.client4.dropLast() + [UInt8(source + 2)]
        return datagram(Array(client), 1, TestPacket.remote4, 2, size: 40)
            .with { $0.identification = identification }.fragments(of: 24)[1]
    }

    private static func hold(
        _ identification: UInt16, in held: inout HeldFragments, now: UInt32
    ) throws -> Int? {
        try hold(piece(identification), try key(identification), in: &held, now: now)
    }

    private static func hold(
        _ octets: [UInt8], _ key: FragmentTable.Key, in held: inout HeldFragments, now: UInt32
    ) throws -> Int? {
        var octets = octets
        var span = octets.mutableSpan
        var packet = unsafe span.mutableBytes
        return held.hold(&packet, key, from: .inside, now: now)
    }

    @Test func `fragments of one datagram come back in the order of their seconds, and only these`() throws {
        var held = try HeldFragments()
        for second in UInt32(1)...3 {
            for identification in UInt16(1)...2 {
                let gone = try Self.hold(identification, in: &held, now: second)
                #expect(gone == 0)
            }
        }
        let key = try Self.key(1)
        let foreign = held.next(of: key, from: .outside)
        #expect(foreign == nil)
        var found = 0
        while let place = held.next(of: key, from: .inside) {
            if copy(of: &held, at: place) == TestPacket.plainHeader + Self.piece(1) { found += 1 }
            held.free(place)
        }
        let left = held.count
        #expect((found, left) == (3, 3))
    }

    @Test func `none is held for less than two seconds or more than three`() throws {
        var held = try HeldFragments()
        _ = try Self.hold(1, in: &held, now: 100)
        let early = held.expire(now: 102)
        let late = held.expire(now: 103)
        let left = held.count
        #expect((early, late, left) == (0, 1, 0))
    }

    @Test func `when all places are taken the oldest gives way, and what is too long is not held`() throws {
        var held = try HeldFragments()
        func hold(_ number: UInt16) throws -> Int? {
            let piece = Self.piece(number, from: Int(number) % 5)
            return try Self.hold(
                piece, FragmentTable.Key(try piece.summary()), in: &held, now: 100 + UInt32(number))
        }
        for number in UInt16(0)..<64 { _ = try hold(number) }
        let gone = try hold(64)
        let oldest = held.next(of: try Self.key(0), from: .inside)
        let second = held.next(
            of: FragmentTable.Key(try Self.piece(1, from: 1).summary()), from: .inside)
        #expect(gone == 1 && oldest == nil && second != nil)
        let long = [UInt8](repeating: 0, count: 2049)
        let refused = try Self.hold(long, Self.key(1), in: &held, now: 200)
        let left = held.count
        #expect(refused == nil && left == 64)
    }

    @Test(arguments: UInt64(1)...20)
    func `whatever one source sends, three others lose none of their share, and it keeps its newest`(seed: UInt64)
        throws
    {
        var numbers = RandomNumbers(seed: seed)
        var held = try HeldFragments()
        // Of each source, what must be held of it, oldest first; the last floods.
        var expected = [[UInt16]](repeating: [], count: 4)
        func key(_ source: Int, _ identification: UInt16) throws -> FragmentTable.Key {
            FragmentTable.Key(try Self.piece(identification, from: source).summary())
        }
        for second in UInt32(1)...600 {
            let source = Int.random(in: 0..<10, using: &numbers)
            let flooder = expected.count - 1
            let (sender, identification) = (min(source, flooder), UInt16(second))
            if sender < flooder, expected[sender].count == HeldFragments.share || Bool.random(using: &numbers) {
                // Its first one comes.
                guard let claimed = expected[sender].randomElement(using: &numbers) else { continue }
                let place = try #require(held.next(of: try key(sender, claimed), from: .inside), "\(second)")
                held.free(place)
                expected[sender].removeAll { $0 == claimed }
                continue
            }
            let gone = try Self.hold(
                Self.piece(identification, from: sender), try key(sender, identification), in: &held, now: second)
            expected[sender].append(identification)
            let isOver = expected[sender].count > HeldFragments.share
            #expect(gone == (isOver ? 1 : 0))
            if isOver { expected[sender].removeFirst() }
        }
        var found = 0
        for (source, identifications) in expected.enumerated() {
            for identification in identifications {
                let place = held.next(of: try key(source, identification), from: .inside)
                #expect(place != nil, "\(source) lost \(identification)")
                found += place == nil ? 0 : 1
            }
        }
        let count = held.count
        #expect(found == count && expected.last?.count == HeldFragments.share)
    }

    @Test(arguments: [IOKind.poll, .uring], [true, false])
    func `fragments in any order leave and come back behind their first one`(kind: IOKind, isV4: Bool) throws {
        let client = isV4 ? TestPacket.client4 : TestPacket.client6
        let remote = isV4 ? TestPacket.remote4 : TestPacket.remote6
        let exit = isV4 ? TestPacket.exit4 : TestPacket.exit6
        try withLoop(kind) { wires in
            let sent = Self.datagram(client, 5000, remote, 443).fragments(of: 1480)
            #expect(sent.count == 3)
            for fragment in sent.reversed() { wires.inside.send(fragment) }
            let left = (0..<3).compactMap { _ in wires.outside.receive() }
            let outside = try #require(try left.first?.summary().sourcePort)
            let expected = Self.datagram(exit, outside, remote, 443).with { $0.hopLimit = 63 }.fragments(of: 1480)
            #expect(left.first == expected[0])
            #expect(Set(left) == Set(expected))

            for fragment in Self.datagram(remote, 443, exit, outside).fragments(of: 1480).reversed() {
                wires.outside.send(fragment)
            }
            let back = (0..<3).compactMap { _ in wires.inside.receive() }
            #expect(
                Set(back) == Set(Self.datagram(remote, 443, client, 5000).with { $0.hopLimit = 63 }.fragments(of: 1480))
            )
            let snapshot = try #require(try wires.inquiries.ask { _, snapshot in snapshot })
            #expect(snapshot.fragmentsHeld == 0)
            #expect(snapshot.statistics.egress.packets == 3)
            #expect(snapshot.statistics.ingress.packets == 3)
        }
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `held fragments that do not fit are cut when they go on`(kind: IOKind) throws {
        try withLoop(kind, outside: .outside(mtu: 576)) { wires in
            let sent = Self.datagram(TestPacket.client4, 5000, TestPacket.remote4, 443)
            for fragment in sent.fragments(of: 1480).reversed() { wires.inside.send(fragment) }
            var data = [UInt8](repeating: 0, count: 3009)
            var outside: UInt16 = 0
            while let fragment = wires.outside.receive(milliseconds: 200) {
                #expect(fragment.count <= 576)
                let place = (Int(fragment[6] & 0x1f) << 8 | Int(fragment[7])) * 8
                if place == 0 { outside = try fragment.summary().sourcePort }
                data.replaceSubrange(place..<place + fragment.count - 20, with: fragment.dropFirst(20))
            }
            let expected = Self.datagram(TestPacket.exit4, outside, TestPacket.remote4, 443)
            #expect(data == Array(expected.octets.dropFirst(20)))
        }
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `what nobody claims is let go and counted`(kind: IOKind) throws {
        try withLoop(kind) { wires in
            let later = Self.datagram(TestPacket.remote4, 443, TestPacket.exit4, 20_000).fragments(of: 1480)
            wires.outside.send(later[1])
            let before = try #require(try wires.inquiries.ask { _, snapshot in snapshot })
            #expect(before.fragmentsHeld == 1)
            // Its first one is nobody's: that opens no way for it.
            wires.outside.send(later[0])
            var snapshot = before
            let clock = ContinuousClock()
            let deadline = clock.now + .seconds(6)
            while snapshot.fragmentsHeld > 0, clock.now < deadline {
                usleep(20_000)
                snapshot = try #require(try wires.inquiries.ask { _, snapshot in snapshot })
            }
            #expect(snapshot.statistics.dropped(.refused(.heldFragmentExpired)) == 1)
            #expect(snapshot.statistics.dropped(.refused(.noFlow)) == 1)
            #expect(wires.inside.receive(milliseconds: 50) == nil)
        }
    }
}

private func copy(of held: inout HeldFragments, at place: Int) -> [UInt8] {
    let octets = held.octets(at: place)
    var copy: [UInt8] = []
    for offset in 0..<octets.byteCount { copy.append(octets.bytes.octet(at: offset)) }
    return copy
}
