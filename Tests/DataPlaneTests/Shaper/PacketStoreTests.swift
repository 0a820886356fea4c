import Glibc
import TestSupport
import Testing

@testable import DataPlane

/// What is kept against a dictionary of what was given, read at the far end of a port.
struct PacketStoreTests {
    private static let cells = 4096

    private static func keep(_ octets: [UInt8], in store: inout PacketStore) -> Int? {
        var octets = octets
        var span = octets.mutableSpan
        var raw = unsafe span.mutableBytes
        return store.store(&raw)
    }

    @Test(arguments: 1...3)
    func `packets of every length come out as they went in, in any order`(seed: UInt64) throws {
        let (near, far) = try socketPair()
        defer { for end in [near, far] { close(end) } }
        let wire = Wire(descriptor: far)
        var random = RandomNumbers(seed: seed)
        var store = try PacketStore(cells: Self.cells)
        var kept: [(packet: Int, octets: [UInt8])] = []
        var (wrong, refused) = (0, 0)
        for _ in 0..<3000 {
            let free = store.cellsFree
            if kept.isEmpty || Int.random(in: 0..<5, using: &random) > 1 {
                let lengths = [1, 74, 255, 256, 257, 1524, 20_000, FrameArena.capacity]
                let octets = random.octets(lengths.randomElement(using: &random) ?? 1)
                if let packet = Self.keep(octets, in: &store) {
                    kept.append((packet, octets))
                    if free - store.cellsFree != (octets.count + 255) / 256 { wrong += 1 }
                } else {
                    refused += 1
                    if free >= (octets.count + 255) / 256 { wrong += 1 }
                }
            } else {
                let (packet, octets) = kept.remove(at: .random(in: 0..<kept.count, using: &random))
                let written = store.write(packet, length: octets.count, to: near)
                if written != octets.count || wire.receiveMessage() != octets { wrong += 1 }
                store.free(packet)
                if store.cellsFree - free != (octets.count + 255) / 256 { wrong += 1 }
            }
        }
        for entry in kept { store.free(entry.packet) }
        #expect(wrong == 0, "seed \(seed)")
        #expect(refused > 0)
        #expect(store.cellsFree == Self.cells)
    }

    @Test func `the beginning of a packet can be changed where it lies`() throws {
        let (near, far) = try socketPair()
        defer { for end in [near, far] { close(end) } }
        var store = try PacketStore(cells: 16)
        var octets = [UInt8](repeating: 7, count: 600)
        let packet = try #require(Self.keep(octets, in: &store))
        var beginning = store.beginning(of: packet, length: 600)
        let length = beginning.byteCount
        beginning.storeBytes(of: 9 as UInt8, toByteOffset: 255, as: UInt8.self)
        octets[255] = 9
        _ = store.write(packet, length: 600, to: near)
        #expect(length == 256)
        #expect(Wire(descriptor: far).receiveMessage() == octets)
    }

    @Test func `cells given back are used again before new ones are touched`() throws {
        var store = try PacketStore(cells: 1 << 20)
        var highest = 0
        for _ in 0..<10_000 {
            let packets = (0..<4).compactMap { _ in Self.keep([UInt8](repeating: 1, count: 1524), in: &store) }
            highest = max(highest, packets.max() ?? .max)
            for packet in packets { store.free(packet) }
        }
        #expect(highest < 24)
    }
}
