/// RFC 1071 as its section 1 says it, not complemented: the oracle for everything that is faster.
package func naiveSum(_ octets: some Collection<UInt8>) -> UInt16 {
    let padded = Array(octets) + (octets.count.isMultiple(of: 2) ? [] : [0])
    var sum: UInt32 = 0
    for pair in stride(from: 0, to: padded.count, by: 2) {
        sum += UInt32(padded[pair]) << 8 | UInt32(padded[pair + 1])
        sum = (sum & 0xffff) + sum >> 16
    }
    return UInt16(sum)
}
