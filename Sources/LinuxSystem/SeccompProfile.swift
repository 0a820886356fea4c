/// Which system calls a container may make, in the form that Docker's and Podman's `seccomp=FILE` takes.
///
/// It holds for every machine and every container: each rule says where it applies, and whoever starts a container picks
/// the rules that do (`applied`). A call that no rule allows fails with EPERM.
package struct SeccompProfile: Codable, Equatable, Sendable {
    package enum Action: String, Codable, Sendable {
        case allow = "SCMP_ACT_ALLOW"
        case fail = "SCMP_ACT_ERRNO"
    }

    package enum Comparison: String, Codable, Sendable {
        case less = "SCMP_CMP_LT"
        case equal = "SCMP_CMP_EQ"
        case greater = "SCMP_CMP_GT"
        /// `value` is the mask, and what it leaves must be `valueTwo`, zero if there is none.
        case maskedEqual = "SCMP_CMP_MASKED_EQ"
    }

    /// What one argument of a call must be. Those behind a pointer cannot be looked at.
    package struct Argument: Codable, Equatable, Sendable {
        package let index: Int
        package let value: UInt64
        package var valueTwo: UInt64?
        package let op: Comparison

        package init(_ index: Int, _ op: Comparison, _ value: UInt64) {
            self.index = index
            self.value = value
            self.op = op
        }
    }

    /// Where a rule applies, or where it does not. Machines by Go's names for them.
    package struct Condition: Codable, Equatable, Sendable {
        package var caps: [String]?
        package var arches: [String]?
        package var minKernel: String?

        package init(caps: [String]? = nil, arches: [String]? = nil, minKernel: String? = nil) {
            self.caps = caps
            self.arches = arches
            self.minKernel = minKernel
        }
    }

    /// Calls that share a fate. All of `args` must hold; alternatives are rules of their own.
    package struct Rule: Codable, Equatable, Sendable {
        package let names: [String]
        package let action: Action
        package var errnoRet: Int?
        package var args: [Argument]?
        /// Applies only where all of this holds.
        package var includes: Condition?
        /// Does not apply where any of this holds.
        package var excludes: Condition?

        package init(
            _ action: Action, _ names: [String], errno: Int? = nil, args: [Argument]? = nil,
            includes: Condition? = nil, excludes: Condition? = nil
        ) {
            self.names = names
            self.action = action
            self.errnoRet = errno
            self.args = args
            self.includes = includes
            self.excludes = excludes
        }
    }

    /// A machine, and the older ones whose programs it runs too.
    package struct Architecture: Codable, Equatable, Sendable {
        package let architecture: String
        package let subArchitectures: [String]?

        package init(_ name: String, _ older: [String] = []) {
            architecture = "SCMP_ARCH_" + name
            subArchitectures = older.isEmpty ? nil : older.map { "SCMP_ARCH_" + $0 }
        }
    }

    package var defaultAction = Action.fail
    /// EPERM.
    package var defaultErrnoRet = 1
    package var archMap: [Architecture]
    package var syscalls: [Rule]

    package init(archMap: [Architecture], syscalls: [Rule]) {
        self.archMap = archMap
        self.syscalls = syscalls
    }

    /// The rules that are left for one container, as who starts it picks them: without any condition.
    ///
    /// - Parameters:
    ///   - capabilities: by their names, all that the container may ever have.
    ///   - machine: Go's name, e.g. `amd64`.
    ///
    /// Kernels older than any condition asks for (4.8) cannot run this program, so that one always holds.
    package func applied(holding capabilities: [String], on machine: String) -> [Rule] {
        syscalls.filter { rule in
            (rule.includes?.caps ?? []).allSatisfy(capabilities.contains)
                && (rule.includes?.arches?.contains(machine) ?? true)
                && !(rule.excludes?.caps ?? []).contains(where: capabilities.contains)
                && !(rule.excludes?.arches ?? []).contains(machine)
        }.map { Rule($0.action, $0.names, errno: $0.errnoRet, args: $0.args) }
    }
}
