internal import LinuxSystem

/// Something the lab needed and did not get: what, and in whose words why.
package struct LabFailure: Error, CustomStringConvertible {
    package let couldNot: String
    package let because: String

    package init(couldNot: String, because: String) {
        self.couldNot = couldNot
        self.because = because
    }

    package var description: String { "could not \(couldNot): \(because)" }
}

/// Says what was wanted when the kernel refuses: `try toward("open a socket") { ... }`.
func toward<Value: ~Copyable>(
    _ goal: @autoclosure () -> String, _ body: () throws(KernelError) -> Value
) throws(LabFailure) -> Value {
    do throws(KernelError) {
        return try body()
    } catch {
        throw LabFailure(couldNot: goal(), because: error.description)
    }
}
