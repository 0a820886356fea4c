internal import CLinux
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A network namespace and the mount namespace that belongs to it, both without a name: they last as long as these
/// descriptors or a process inside, hence not longer than this process and its children, however it ends.
package final class Namespace: Sendable {
    package let net: OwnedDescriptor
    package let mount: OwnedDescriptor

    /// - Parameter prepare: runs inside, before anyone else can: mounts belong here.
    package init(prepare: @escaping @Sendable () throws(KernelError) -> Void) throws(KernelError) {
        let pair = try onThread(named: "namespace") { () throws(KernelError) -> [CInt] in
            try check("unshare", "network and mount namespace", clinux_unshare_net_and_mount())
            try prepare()
            let net = OwnedDescriptor(try openDescriptor("/proc/thread-self/ns/net"))
            let mount = OwnedDescriptor(try openDescriptor("/proc/thread-self/ns/mnt"))
            return [net.surrender(), mount.surrender()]
        }
        net = OwnedDescriptor(pair[0])
        mount = OwnedDescriptor(pair[1])
    }

    /// Runs the body on a thread that has entered. A socket opened there belongs to the namespace for ever, whoever
    /// uses it.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws(KernelError) -> Value
    ) throws(KernelError) -> Value {
        try onThread(named: "visitor") { [self] () throws(KernelError) -> Value in
            try check("setns", "network and mount namespace", clinux_enter_net_and_mount(net.raw, mount.raw))
            return try body()
        }
    }
}

/// Mounts an empty instance of a file system that needs no device (tmpfs, sysfs, bpf) over a directory.
package func mount(_ type: String, at directory: String) throws(KernelError) {
    try check("mount", "\(type) at \(directory)", unsafe clinux_mount(type, directory))
}

/// Shows a file or directory at another place, too, over what is there.
package func bindMount(_ source: String, at target: String) throws(KernelError) {
    try check("mount", "\(source) at \(target)", unsafe clinux_bind(source, target))
}

private func openDescriptor(_ path: String) throws(KernelError) -> CInt {
    let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw KernelError("open", Errno(rawValue: errno), path) }
    return number
}

/// Runs the body on a thread that ends with it, because neither namespace can be left again by the thread that entered.
private func onThread<Value: Sendable>(
    named name: String, _ body: @escaping @Sendable () throws(KernelError) -> Value
) throws(KernelError) -> Value {
    let answer = Answer<Value>()
    let thread = try Thread(named: name) {
        let result = Result { () throws(KernelError) -> Value in try body() }
        answer.value.withLock { $0 = result }
    }
    thread.join()
    guard let result = answer.value.withLock({ $0 }) else { throw KernelError("pthread_join", .canceled, name) }
    return try result.get()
}

private final class Answer<Value: Sendable>: Sendable {
    let value = Mutex<Result<Value, KernelError>?>(nil)
}
