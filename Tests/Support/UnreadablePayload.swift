import Glibc

/// Octets whose end is the end of readable memory: what comes behind them exists, but looking at it is a crash.
@safe package final class UnreadablePayload {
    /// Where the octets begin; valid as long as `self`.
    package let start: UnsafeMutableRawPointer
    private let mapping: UnsafeMutableRawPointer
    private static let page = Int(sysconf(CInt(_SC_PAGESIZE)))

    package init?(headers: [UInt8]) {
        // 64 KiB of payload that cannot be read, so that the packet may be as large as packets get.
        guard
            let mapping = unsafe mmap(
                nil, Self.page + 65_536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            unsafe mapping != MAP_FAILED, unsafe mprotect(mapping + Self.page, 65_536, PROT_NONE) == 0
        else { return nil }
        unsafe self.mapping = unsafe mapping
        unsafe start = unsafe mapping + Self.page - headers.count
        unsafe start.copyMemory(from: headers, byteCount: headers.count)
    }

    deinit { unsafe munmap(mapping, Self.page + 65_536) }

    /// Asks the kernel, which answers EFAULT where we would crash.
    package func isReadable(at offset: Int) -> Bool {
        var pipe: [CInt] = [-1, -1]
        guard unsafe Glibc.pipe(&pipe) == 0 else { return true }
        defer { for end in pipe { close(end) } }
        return unsafe write(pipe[1], start + offset, 1) == 1
    }

    /// The first octets as they are now, no more of them than can be read.
    package func octets(_ count: Int) -> [UInt8] { unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count)) }
}
