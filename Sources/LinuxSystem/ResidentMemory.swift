import Glibc

/// What of this process is kept in memory.
package enum ResidentMemory {
    /// Lets go of what the start or an answer needed: code, relocations, constants. What is used again comes back from the
    /// page cache by itself.
    ///
    /// On a box of 256 MB beside tailscaled, the dozen megabytes that reading settings takes, and the six of writing JSON,
    /// are better given back.
    package static func forgetCode() {
        for mapping in mappings() where mapping.isUnchangedFile {
            let begin = unsafe UnsafeMutableRawPointer(bitPattern: mapping.begin)
            // Of memory that is kept, since Linux 5.18; of any other, always.
            if unsafe madvise(begin, mapping.length, MADV_DONTNEED_LOCKED) != 0 {
                _ = unsafe madvise(begin, mapping.length, MADV_DONTNEED)
            }
        }
    }

    private struct Mapping {
        let begin: UInt
        let length: Int
        private let isWritable: Bool
        private let isFile: Bool
        /// Whether some pages are no longer the file's: the dynamic linker writes to constants before it protects them,
        /// and such pages do not come back.
        var isChanged = false

        var isUnchangedFile: Bool { isFile && !isWritable && !isChanged }

        /// The first line of an entry: `7f00-7f10 r-xp 00000000 fe:00 1234    /usr/lib/libc.so.6`.
        init?(_ line: Substring) {
            let fields = line.split(separator: " ", maxSplits: 5)
            guard fields.count >= 5, fields[1].utf8.count == 4 else { return nil }
            let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard ends.count == 2 else { return nil }
            begin = ends[0]
            length = Int(ends[1] - ends[0])
            isWritable = fields[1].contains("w")
            isFile = fields.count == 6 && fields[5].contains("/")
        }
    }

    /// Read from /proc/self/smaps, where each mapping's line is followed by lines such as `Anonymous:    0 kB`.
    private static func mappings() -> [Mapping] {
        guard let file = unsafe fopen("/proc/self/smaps", "re") else { return [] }
        defer { unsafe fclose(file) }
        var mappings: [Mapping] = []
        var line = [CChar](repeating: 0, count: 1024)
        while unsafe fgets(&line, CInt(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            if let mapping = Mapping(text[...]) {
                mappings.append(mapping)
            } else if text.hasPrefix("Anonymous:"), !text.hasSuffix(" 0 kB"), !mappings.isEmpty {
                mappings[mappings.count - 1].isChanged = true
            }
        }
        return mappings
    }
}
