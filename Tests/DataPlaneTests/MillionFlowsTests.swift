import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// One exit address carries as many flows as the table holds, because ports are shared between remotes.
struct MillionFlowsTests {
    /// Fills fifteen of sixteen ports towards so many remotes, of the first all that are found, then lets all of it end.
    private static func fill(_ ports: Int, remotes: Int) throws {
        var translator = try Translator(flows: ports * (remotes + 1), range: 16384...UInt16(16383 + ports))
        var refused = 0
        let each = ports * 15 / 16
        for remote in 0..<remotes {
            for client in 0..<each {
                let packet = TestPacket.tcp(
                    from: [100, 64, UInt8(client >> 8), UInt8(client & 255)], 5000, to: [203, 0, 113, UInt8(remote)],
                    443,
                    flags: 2)
                if translator.egress(packet.octets).octets == nil { refused += 1 }
            }
        }
        let live = translator.nat.flows.live
        #expect((live, refused) == (each * remotes, 0))
        let more = (0..<ports).map { client in
            let source = [100, 100, UInt8(client >> 8), UInt8(client & 255)]
            return translator.egress(
                TestPacket.tcp(from: source, 5000, to: [203, 0, 113, 0], 443, flags: 2).octets)
        }
        #expect(more.count { $0.octets != nil } <= ports - each)
        #expect(more.last == .dropped(.refused(.bindingsExhausted)))
        translator.advance(to: 2000)
        let left = (live: translator.nat.flows.live, ports: translator.nat.bindings.inUse)
        #expect(left == (0, 0))
    }

    @Test func `sixty-four remotes can be reached through 512 ports`() throws {
        try Self.fill(512, remotes: 64)
    }

    @Test(.enabled(if: isSoak, "takes a minute in a debug build: make soak"))
    func `a million flows fit one address`() throws { try Self.fill(16384, remotes: 69) }
}
