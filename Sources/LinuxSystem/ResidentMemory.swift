import Glibc

/// What of this process is kept in memory.
package enum ResidentMemory {
    /// Lets go of the code that only the start needed. What is used again comes back from the page cache by itself.
    ///
    /// Code alone: a constant may lie in a page that the dynamic linker changed before it was made read-only.
    /// On a box of 256 MB beside tailscaled, the dozen megabytes that parsing settings takes are better given back.
    package static func forgetStart() {
        for mapping in mappings() where mapping.isCode {
            _ = unsafe madvise(
                UnsafeMutableRawPointer(bitPattern: mapping.begin), Int(mapping.end - mapping.begin), MADV_DONTNEED)
        }
    }

    private struct Mapping {
        let begin: UInt
        let end: UInt
        let isCode: Bool

        /// A line of /proc/self/maps: `7f00-7f10 r-xp 00000000 fe:00 1234 /usr/lib/libc.so.6`.
        init?(_ line: Substring) {
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard fields.count == 6 else { return nil }
            let range = fields[0].split(separator: "-")
            guard range.count == 2, let begin = UInt(range[0], radix: 16), let end = UInt(range[1], radix: 16) else {
                return nil
            }
            self.begin = begin
            self.end = end
            isCode = fields[1] == "r-xp" && fields[5].contains("/")
        }
    }

    private static func mappings() -> [Mapping] {
        guard let file = unsafe fopen("/proc/self/maps", "re") else { return [] }
        defer { unsafe fclose(file) }
        var text = [UInt8](repeating: 0, count: 1 << 16)
        let length = unsafe fread(&text, 1, text.count, file)
        return String(decoding: text.prefix(length), as: UTF8.self).split(separator: "\n").compactMap(Mapping.init)
    }
}
