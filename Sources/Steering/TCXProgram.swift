internal import CBPF
import Glibc
package import LinuxNetwork
package import LinuxSystem

/// A program at an interface's tcx hook (Linux 6.6): packets meet it before the filters of clsact, and it may keep them.
package struct TCXProgram: Equatable, Sendable {
    /// By which the kernel lists it.
    package let number: UInt32
    /// The number of the link that holds it; nil where none does.
    package let link: UInt32?

    package init(number: UInt32, link: UInt32?) {
        self.number = number
        self.link = link
    }

    /// Those of a hook, in the order in which packets meet them; none where the kernel has no such hook. Listing takes
    /// CAP_NET_ADMIN.
    package static func all(on link: Link, _ direction: Filter.Direction) throws(KernelError) -> [TCXProgram] {
        let hook = direction == .ingress ? CBPF_TCX_INGRESS : CBPF_TCX_EGRESS
        let room = Int(CBPF_TCX_PROGRAMS)
        var programs = [UInt32](repeating: 0, count: room)
        var links = programs
        do throws(KernelError) {
            let count = try check(
                "BPF_PROG_QUERY", link.name, unsafe cbpf_tcx_programs(link.index, hook, &programs, &links))
            return (0..<min(Int(count), room)).map {
                TCXProgram(number: programs[$0], link: links[$0] == 0 ? nil : links[$0])
            }
        } catch {
            // ENOENT where nobody ever attached one; the others where the kernel does not know the question.
            guard [ENOENT, EINVAL, E2BIG].contains(error.errno.rawValue) else { throw error }
            return []
        }
    }
}
