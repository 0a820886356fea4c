package import LinuxSystem

/// A secret that whoever asks must know, from a file that nobody else can read.
package struct AdminToken: Sendable {
    package enum Unfit: Error {
        case unreadable(KernelError)
        case missing
        /// A device or a pipe, for example.
        case notPlain
        /// Its mode lets others read it, or write it.
        case open
        /// Shorter than anybody should trust, or longer than a header takes.
        case length(Int)
        /// Something that no header can carry.
        case unprintable
    }

    package static let lengths = 16...1_024

    private let octets: [UInt8]

    /// Reads the first line of a file; blanks around it are not part of it.
    package init(file path: String) throws(Unfit) {
        let file: TextFile.Contents?
        do throws(KernelError) { file = try TextFile(path).contents() } catch { throw .unreadable(error) }
        guard let file else { throw .missing }
        guard file.isPlain else { throw .notPlain }
        guard !file.isOpenToOthers else { throw .open }
        try self.init(file.octets)
    }

    init(_ text: [UInt8]) throws(Unfit) {
        let blanks: [UInt8] = [9, 10, 13, 32]
        let line = text.drop { blanks.contains($0) }.prefix { $0 != 10 }
        let end = line.lastIndex { !blanks.contains($0) }.map { $0 + 1 } ?? line.startIndex
        octets = Array(line[line.startIndex..<end])
        guard Self.lengths.contains(octets.count) else { throw .length(octets.count) }
        guard octets.allSatisfy({ (33...126).contains($0) }) else { throw .unprintable }
    }

    /// Whether a request brings it (RFC 6750; the scheme's letters may be of either case). Takes as long for any answer of one
    /// length: who guesses octet by octet learns nothing.
    func admits(authorization: String?) -> Bool {
        let scheme = "bearer "
        let given = Array((authorization ?? "").utf8)
        let expected = Array(scheme.utf8) + octets
        var difference = UInt64(given.count ^ expected.count)
        for index in expected.indices {
            let octet = index < given.count ? given[index] : 0
            difference |= UInt64(expected[index] ^ (index < scheme.utf8.count ? octet | 0x20 : octet))
        }
        return difference == 0
    }
}
