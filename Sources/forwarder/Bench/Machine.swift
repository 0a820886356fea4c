import FoundationEssentials
import Glibc

/// Where something was measured.
struct Machine: Codable, Equatable {
    let cores: Int
    /// The processor's name as the kernel tells it; not every architecture has one.
    let cpu: String
    let kernel: String

    static var this: Machine {
        func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
        let model = text("/proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("model name") }
        let name = model?.split(separator: ":", maxSplits: 1).last?.drop { $0 == " " }
        return Machine(
            cores: sysconf(CInt(_SC_NPROCESSORS_ONLN)), cpu: name.map(String.init) ?? "unknown",
            kernel: text("/proc/sys/kernel/osrelease").split(separator: "\n").first.map(String.init) ?? "unknown")
    }
}
