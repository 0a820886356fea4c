/// The checksum of RFC 3720, section 12.1 (Castagnoli's polynomial, reflected), half an octet at a step.
func crc32c(_ pieces: ArraySlice<UInt8>...) -> UInt32 {
    var remainder = UInt32.max
    for piece in pieces {
        for octet in piece {
            remainder ^= UInt32(octet)
            remainder = remainder >> 4 ^ remainders[Int(remainder & 15)]
            remainder = remainder >> 4 ^ remainders[Int(remainder & 15)]
        }
    }
    return ~remainder
}

/// What each half octet leaves.
private let remainders: [UInt32] = (0..<16).map { half in
    (0..<4).reduce(half) { rest, _ in rest & 1 == 0 ? rest >> 1 : rest >> 1 ^ 0x82f6_3b78 }
}
