/// What tells one probe from every other, on whichever side it is seen: a text in its payload, and a destination where
/// nobody else is asked. A translated packet keeps both.
package struct Nonce: Hashable, Sendable {
    package let number: UInt32

    package init(number: UInt32) { self.number = number }

    /// Eleven octets that a DNS label may be made of, too.
    package var text: String {
        let digits = String(number, radix: 16)
        return Self.mark + String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// Of the networks that are set aside for measurements (RFC 2544 and RFC 5180).
    package var address: DualStack {
        let place = number & 0x1_ffff
        return DualStack(
            v4: "198.\(18 + place >> 16).\(place >> 8 & 0xff).\(place & 0xff)",
            v6: "2001:2:0:1::\(1 + place >> 16):\(String(place & 0xffff, radix: 16))"
        )
    }

    /// The text over and over, so that each fragment of a payload bears it.
    package func payload(octets count: Int) -> [UInt8] {
        let once = Array(text.utf8)
        return (0..<count).map { once[$0 % once.count] }
    }

    private static let mark = "fwd"

    /// The first one in the octets.
    init?(in octets: ArraySlice<UInt8>) {
        let mark = Array(Self.mark.utf8)
        var place = octets.startIndex
        while place + 11 <= octets.endIndex {
            if octets[place] == mark[0], octets[place + 1] == mark[1], octets[place + 2] == mark[2],
                let number = UInt32(String(decoding: octets[place + 3..<place + 11], as: UTF8.self), radix: 16)
            {
                self.number = number
                return
            }
            place += 1
        }
        return nil
    }
}
