import Glibc

/// Numbers in a file that is mapped: they outlive whoever is killed while writing them.
@safe package final class SharedNumbers {
    private let numbers: UnsafeMutableBufferPointer<UInt64>

    /// Zeros where there is no such file yet.
    package init?(_ path: String, count: Int) {
        let length = count * MemoryLayout<UInt64>.stride
        let file = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { return nil }
        defer { close(file) }
        guard ftruncate(file, length) == 0,
            let mapping = unsafe mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
            unsafe mapping != MAP_FAILED
        else { return nil }
        unsafe numbers = unsafe UnsafeMutableBufferPointer(
            start: mapping.assumingMemoryBound(to: UInt64.self), count: count)
    }

    deinit { unsafe munmap(numbers.baseAddress, numbers.count * MemoryLayout<UInt64>.stride) }

    package subscript(index: Int) -> UInt64 {
        get { unsafe numbers[index] }
        set { unsafe numbers[index] = newValue }
    }
}
