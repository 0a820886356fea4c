package import SystemPackage

/// A call that the kernel refused: which one, why, and on what.
///
/// `subject` names what a person would recognise: an interface, a path, a process.
package struct KernelError: Error, CustomStringConvertible {
    package let call: StaticString
    package let errno: Errno
    package let subject: String

    package init(_ call: StaticString, _ errno: Errno, _ subject: String) {
        self.call = call
        self.errno = errno
        self.subject = subject
    }

    package var description: String { "\(call) \(subject): \(errno)" }
}

/// Turns the shims' convention (a negative answer is -errno) into a typed error.
@discardableResult
package func check(
    _ call: StaticString, _ subject: @autoclosure () -> String, _ answer: CInt
) throws(KernelError) -> CInt {
    guard answer < 0 else { return answer }
    throw KernelError(call, Errno(rawValue: -answer), subject())
}
