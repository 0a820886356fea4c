package import LinuxSystem

/// How a verb ends. Scripts rely on these numbers.
package enum ExitCode: Int32, Codable, Sendable {
    case yes = 0
    /// Answered, and the answer is bad.
    case bad = 1
    /// A command line or a setting that cannot be meant.
    case usage = 64
    /// Nobody is running, or something is missing or taken.
    case unavailable = 69
    /// Our bug.
    case bug = 70
    case notPermitted = 77
}

/// What a person is told when something could not be done: what, why, and what to type next.
///
/// Each part continues a sentence: "could not `couldNot`", "because `because`", "next: `remedy`".
package struct Refusal: Error, Codable, Equatable, Sendable {
    package let couldNot: String
    package let because: String
    package let remedy: String?
    package let exitCode: ExitCode

    package init(couldNot: String, because: String, remedy: String? = nil, exitCode: ExitCode) {
        self.couldNot = couldNot
        self.because = because
        self.remedy = remedy
        self.exitCode = exitCode
    }

    /// A call that the kernel refused, seen from what it was needed for.
    package init(couldNot: String, _ error: KernelError, remedy: String? = nil) {
        let forbidden = error.errno == .notPermitted || error.errno == .permissionDenied
        self.init(
            couldNot: couldNot, because: "\(error)",
            // Whatever it was needed for, another remedy does not help.
            remedy: error.errno == .tooManyOpenFiles ? Self.moreOpenFiles : remedy,
            exitCode: forbidden ? .notPermitted : .unavailable)
    }

    static let moreOpenFiles = "allow more open files: ulimit -n 1024, or give the container `ulimits: {nofile: 1024}`"
}

/// Does what a person may have to be told that it could not be done.
package func refusing<Value: ~Copyable>(
    couldNot: String, remedy: String? = nil, _ body: () throws(KernelError) -> Value
) throws(Refusal) -> Value {
    do throws(KernelError) {
        return try body()
    } catch {
        throw Refusal(couldNot: couldNot, error, remedy: remedy)
    }
}

extension Refusal: CustomStringConvertible {
    package var description: String {
        "could not \(couldNot)\nbecause \(because)" + (remedy.map { "\nnext: \($0)" } ?? "")
    }
}
