import PacketParse
import Testing

@testable import DataPlane

struct FragmentTableTests {
    private static let seed = HashSeed(first: 3, second: 5)

    private static func key(_ identification: UInt16, source: [UInt8] = TestPacket.client4) throws -> FragmentTable.Key
    {
        let packet = TestPacket.udp(from: source, 1, to: TestPacket.remote4, 2, payload: .init(repeating: 0, count: 40))
            .with { $0.identification = identification }
        return FragmentTable.Key(try packet.fragments(of: 16)[1].summary())
    }

    @Test func `a datagram is remembered for thirty seconds`() throws {
        var table = try FragmentTable(seed: Self.seed)
        table.record(try Self.key(1), at: .init(slot: 9, insideHash: 77), now: 100)
        let found = [
            table.find(try Self.key(1), now: 130), table.find(try Self.key(1), now: 131),
            table.find(try Self.key(2), now: 100), table.find(try Self.key(1, source: [100, 64, 0, 3]), now: 100),
        ]
        #expect(found == [FragmentTable.Place(slot: 9, insideHash: 77), nil, nil, nil])
    }

    @Test func `recorded again, a datagram has one place and the newer flow`() throws {
        var table = try FragmentTable(seed: Self.seed)
        for slot in 0..<10 {
            table.record(try Self.key(1), at: .init(slot: slot, insideHash: 77), now: 100 + UInt32(slot))
        }
        let found = table.find(try Self.key(1), now: 109)
        #expect(found?.slot == 9)
    }

    @Test func `of many datagrams the newest are remembered, and none leads to another's flow`() throws {
        var table = try FragmentTable(seed: Self.seed)
        for number in 0..<2000 {
            let place = FragmentTable.Place(slot: number, insideHash: 77)
            table.record(try Self.key(UInt16(number)), at: place, now: 100 + UInt32(number / 100))
        }
        let found = try (0..<2000).map { table.find(try Self.key(UInt16($0)), now: 119)?.slot }
        #expect(found.enumerated().allSatisfy { $0.element == nil || $0.element == $0.offset })
        #expect(found.suffix(64).allSatisfy { $0 != nil })
        #expect(found.compactMap { $0 }.count <= 512)
    }
}
