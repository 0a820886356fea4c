internal import Glibc
internal import LinuxSystem
internal import SystemPackage

/// No error if it is there.
func makeDirectory(_ path: String) throws(KernelError) {
    guard unsafe mkdir(path, 0o755) == 0 || errno == EEXIST else {
        throw KernelError("mkdir", Errno(rawValue: errno), path)
    }
}

func replaceContents(of path: String, with text: String) throws(KernelError) {
    try write(text, to: path, O_TRUNC)
}

/// One that is not there yet.
func makeFile(_ path: String, containing text: String) throws(KernelError) {
    try write(text, to: path, O_CREAT | O_EXCL)
}

private func write(_ text: String, to path: String, _ manner: CInt) throws(KernelError) {
    let file = unsafe open(path, O_WRONLY | O_CLOEXEC | manner, 0o644)
    guard file >= 0 else { throw KernelError("open", Errno(rawValue: errno), path) }
    let owner = OwnedDescriptor(file)
    let bytes = Array(text.utf8)
    let written = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(owner.raw, $0.baseAddress, $0.count) }
    guard written == bytes.count else { throw KernelError("write", Errno(rawValue: errno), path) }
}

/// The beginning of a small file, as the kernel's are.
func contents(of path: String) throws(KernelError) -> String {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw KernelError("open", Errno(rawValue: errno), path) }
    let owner = OwnedDescriptor(file)
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(owner.raw, $0.baseAddress, $0.count) }
    guard count >= 0 else { throw KernelError("read", Errno(rawValue: errno), path) }
    return String(decoding: bytes.prefix(count), as: UTF8.self)
}

func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
