import PacketParse
import TestSupport
import Testing

/// A packet written down octet by octet.
struct Fixture: Sendable, CustomTestStringConvertible {
    /// Also the name of its file in the fuzzer's corpus.
    let name: String
    let octets: [UInt8]

    /// Octets stand at the start of every line, two digits each; the first thing that is none begins the comment.
    init(_ name: String, _ text: String) {
        self.name = name
        octets = text.split(separator: "\n").flatMap { line in
            line.split(separator: " ").prefix { $0.utf8.count == 2 && UInt8($0, radix: 16) != nil }.map {
                UInt8($0, radix: 16) ?? 0
            }
        }
    }

    init(_ name: String, octets: [UInt8]) {
        self.name = name
        self.octets = octets
    }

    static var sound: [Fixture] { v4 + v6 }

    var testDescription: String { name }

    func summary() throws(ParseError) -> PacketSummary { try PacketSummary(parsing: octets.raw) }

    /// The same packet with other octets at `offset`, and the IPv4 header checksum put right.
    func with(_ replacement: [UInt8], at offset: Int, name: String? = nil) -> Fixture {
        var changed = octets
        changed.replaceSubrange(offset..<offset + replacement.count, with: replacement)
        let length = Int(changed[0] & 0xf) * 4
        if changed[0] >> 4 == 4, (20...changed.count).contains(length) {
            changed[10] = 0
            changed[11] = 0
            let sum = ~naiveSum(changed[..<length])
            changed[10] = UInt8(sum >> 8)
            changed[11] = UInt8(sum & 0xff)
        }
        return Fixture(name ?? self.name, octets: changed)
    }

    func cut(to length: Int, name: String? = nil) -> Fixture {
        Fixture(name ?? self.name, octets: Array(octets.prefix(length)))
    }
}

extension [UInt8] {
    /// The octets as the parser takes them. `bytes` is unsafe for elements with padding, which octets have not.
    var raw: RawSpan {
        @_lifetime(borrow self) get { unsafe span.bytes }
    }
}
