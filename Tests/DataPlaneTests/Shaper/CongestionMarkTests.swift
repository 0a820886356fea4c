import Testing

@testable import DataPlane

/// Marked packets against packets built with the mark in them.
struct CongestionMarkTests {
    /// What the two bits say, RFC 3168 section 5.
    private enum Codepoint { static let (notCapable, experienced): (UInt8, UInt8) = (0, 3) }

    private static func marked(_ packet: [UInt8]) -> (packet: [UInt8], carriesMark: Bool) {
        var packet = packet
        var span = packet.mutableSpan
        var octets = unsafe span.mutableBytes
        let carriesMark = octets.markCongestion()
        return (packet, carriesMark)
    }

    @Test(arguments: [true, false], 0...255)
    func `a packet whose sender understands is marked, its checksum included, and any other left alone`(
        isV4: Bool, typeOfService: UInt8
    ) {
        let (client, remote, _) = TestPacket.ends(isV4: isV4)
        let packet = TestPacket.tcp(from: client, 1, to: remote, 2, payload: [1, 2, 3])
            .with { ($0.typeOfService, $0.identification) = (typeOfService, UInt16(typeOfService) &* 257) }
        let isCapable = typeOfService & 3 != Codepoint.notCapable
        let expected = isCapable ? packet.with { $0.typeOfService |= Codepoint.experienced } : packet
        let answer = Self.marked(packet.octets)
        #expect(answer.packet == expected.octets)
        #expect(answer.carriesMark == isCapable)
    }
}
