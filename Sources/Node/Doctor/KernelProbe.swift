/// The release of the kernel, as far as it says what the kernel can do.
struct KernelRelease: Comparable, CustomStringConvertible {
    let major: Int
    let minor: Int

    init(_ major: Int, _ minor: Int) { (self.major, self.minor) = (major, minor) }

    /// `6.18.44-generic`
    init?(_ text: String) {
        let numbers = text.split(separator: ".").prefix(2).map { $0.prefix(while: \.isNumber) }
        guard numbers.count == 2, let major = Int(numbers[0]), let minor = Int(numbers[1]) else { return nil }
        self.init(major, minor)
    }

    static let now = kernelText("/proc/sys/kernel/osrelease").flatMap(KernelRelease.init)
    static let oldest = KernelRelease(5, 10)
    /// With multishot reads that are sound.
    static let ofUring = KernelRelease(6, 8)
    /// From here on the programs' memory is counted for the cgroup, before it was locked memory.
    static let ofMemoryCgroups = KernelRelease(5, 11)

    static func < (one: KernelRelease, other: KernelRelease) -> Bool {
        (one.major, one.minor) < (other.major, other.minor)
    }

    var description: String { "\(major).\(minor)" }
}

extension Probe {
    static let kernel = Probe(
        "kernel", "Is the kernel new enough, and for which way of moving packets?", worst: .error
    ) { _ in
        guard let release = KernelRelease.now else { return .notAsked("/proc/sys/kernel/osrelease cannot be read") }
        return judge(release)
    }

    static func judge(_ release: KernelRelease) -> Finding {
        if release < .oldest {
            return .error(
                "Linux \(release) lacks what the programs need", remedy: "use Linux \(KernelRelease.oldest) or newer")
        }
        if release < .ofUring {
            return .note(
                "Linux \(release): packets go by poll(2)",
                remedy: "for io_uring use Linux \(KernelRelease.ofUring) or newer")
        }
        return .ok("Linux \(release), new enough for io_uring")
    }
}
