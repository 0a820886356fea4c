import LinuxSystem

// What the process may have at most.

extension Probe {
    static let memlock = Probe(
        "memlock", "May the process lock enough memory, where the kernel counts that?", worst: .warning
    ) { surroundings in
        guard let release = KernelRelease.now else { return .notAsked("/proc/sys/kernel/osrelease cannot be read") }
        let isCounted = !surroundings.capabilities.contains(.ipcLock)
        return judge(lockedMemory: isCounted ? LockedMemory.limit : nil, on: release, surroundings.settings.io)
    }

    /// Several times what the programs and their maps take.
    private static let ofPrograms: UInt64 = 64 << 20
    /// Of a ring and the places of its buffers some tens of KiB are counted, together with those of all processes of the
    /// same user (seen on Linux 6.18).
    private static let ofRing: UInt64 = 1 << 20

    /// - Parameter limit: nil where nothing is counted.
    static func judge(lockedMemory limit: UInt64?, on release: KernelRelease, _ io: IOPreference) -> Finding {
        guard let limit else { return .ok("any amount of memory may be locked") }
        let told = "\(limit >> 10) KiB of memory may be locked"
        let remedy = "allow more locked memory: ulimits: {memlock: -1}, or ulimit -l unlimited"
        if release < .ofMemoryCgroups, limit < ofPrograms {
            return .warning("\(told), and Linux \(release) counts the programs' memory there", remedy: remedy)
        }
        if release >= .ofUring, io != .poll, limit < ofRing {
            return .note("\(told), which may be too little for io_uring", remedy: remedy)
        }
        return .note(
            "\(told), so none is: on a machine short of memory, packets wait while our code is read from the disk",
            remedy: remedy)
    }

    static let openFiles = Probe("open_files", "May the process open enough files?", worst: .error) { _ in
        let limit = OwnedDescriptor.limit
        return limit < RunningNode.descriptors
            ? .error(Refusal(openFiles: limit, of: RunningNode.descriptors)) : .ok("\(limit) files may be open")
    }
}
