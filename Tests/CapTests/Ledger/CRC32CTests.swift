import Testing

@testable import Cap

/// RFC 3720, appendix B.4.
struct CRC32CTests {
    @Test(
        arguments: [
            ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
            ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
            (Array(0..<32), 0x46dd_794e),
            ((0..<32).reversed(), 0x113f_db5c),
            // An iSCSI SCSI read command.
            (
                [
                    0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
                    0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
                ], 0xd996_3a56
            ),
            ([], 0),
        ] as [([UInt8], UInt32)])
    func `the sums are those of the RFC`(octets: [UInt8], sum: UInt32) {
        #expect(crc32c(octets[...]) == sum)
    }
}
