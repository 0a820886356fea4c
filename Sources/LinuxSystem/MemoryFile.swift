internal import CLinux
internal import Glibc
internal import SystemPackage

/// A nameless file in memory. As a child's standard output it takes any amount without a reader, hence without
/// deadlock.
package struct MemoryFile: ~Copyable, Sendable {
    package let descriptor: OwnedDescriptor

    package init(containing text: String = "") throws(KernelError) {
        let file = OwnedDescriptor(try check("memfd_create", "memory file", unsafe clinux_memory_file("forwarder")))
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe write(file.raw, $0.baseAddress, $0.count) }
            guard written > 0 else { throw KernelError("write", Errno(rawValue: errno), "memory file") }
            rest = rest.dropFirst(written)
        }
        _ = lseek(file.raw, 0, SEEK_SET)
        descriptor = file
    }

    /// All that was written so far; bytes that are not UTF-8 are replaced. The writer's position stays where it is.
    package var text: String {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let got = unsafe piece.withUnsafeMutableBytes {
                unsafe pread(descriptor.raw, $0.baseAddress, $0.count, bytes.count)
            }
            guard got > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += piece[..<got]
        }
    }
}
