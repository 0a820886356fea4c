internal import CBPF
import Glibc
package import LinuxSystem
import SystemPackage

/// The counters' names in a bpffs: by them the next process finds what the programs of a dead one count on.
package struct Pins: Sendable {
    /// A directory of its own for each bill, in a bpffs.
    package let directory: String
    /// The kernel's number of the map that the bill was last made of. It numbers in order: older ones have left this bill, to a
    /// node that saw no bpffs.
    private let youngest: UInt32

    /// Of the bill with this number, where every host has its bpffs.
    package init(ofBill number: UInt64, lastMadeOf map: UInt32 = 0) {
        let digits = String(number, radix: 16)
        directory = "/sys/fs/bpf/forwarder/" + String(repeating: "0", count: 16 - digits.count) + digits
        youngest = map
    }

    /// The counters, as the programs' source calls them: all of them are found, or none is.
    static let names = ["guard_tallies", "meters"]

    func path(_ name: String) -> String { "\(directory)/\(name)" }

    /// What is counted under these names, by whomever; nil where nothing of this bill is, or of another version.
    package func read() throws(KernelError) -> MeterReading? {
        guard let unloaded = unsafe steering_bpf__open() else {
            throw KernelError("bpf_object__open_skeleton", Errno(rawValue: errno), directory)
        }
        defer { unsafe steering_bpf__destroy(unloaded) }
        let maps = unsafe unloaded.pointee.maps
        return try unsafe open(like: [maps.guard_tallies!, maps.meters!]) { found throws(KernelError) in
            try MeterReading(of: found[1], besideGuards: found[0])
        }
    }

    /// Takes the names away. The counters live on as long as a program counts.
    package func remove() {
        for name in Self.names { _ = unsafe unlink(path(name)) }
        _ = unsafe rmdir(directory)
    }
}

/// Whether the counters outlive their process.
package enum Pinning: Sendable {
    case notAsked
    /// They have their names now.
    case begun
    /// They had their names already, and go on from there.
    case resumed
    case refused(KernelError)
}

extension Pins {
    /// Has the programs, which are not loaded yet, count on where others did, if there is such a place. Refused where it cannot
    /// be known: the names are left then.
    ///
    /// - Throws: that some of the maps are others' now and some are not. They are not to be loaded.
    func resume(_ maps: [OpaquePointer]) throws(KernelError) -> Pinning {
        var failure: KernelError?
        do throws(KernelError) {
            let isFound: Void? = try unsafe open(like: maps) { found throws(KernelError) in
                for unsafe(descriptor, map) in unsafe zip(found, maps) where failure == nil {
                    // libbpf keeps a copy of the descriptor.
                    guard unsafe bpf_map__reuse_fd(map, descriptor) != 0 else { continue }
                    failure = KernelError("dup", Errno(rawValue: errno), directory)
                }
            }
            if isFound == nil { return .notAsked }
        } catch {
            return .refused(error)
        }
        if let failure { throw failure }
        return .resumed
    }

    /// - Returns: nothing where one of the maps is not there, or none of this bill, or of another version.
    private func open<Answer>(
        like maps: [OpaquePointer], _ body: ([CInt]) throws(KernelError) -> Answer
    ) throws(KernelError) -> Answer? {
        var found: [CInt] = []
        defer { for descriptor in found { _ = Glibc.close(descriptor) } }
        for unsafe(name, map) in unsafe zip(Self.names, maps) {
            let descriptor = unsafe bpf_obj_get(path(name))
            guard descriptor >= 0 else {
                guard errno != ENOENT else { return nil }
                throw KernelError("BPF_OBJ_GET", Errno(rawValue: errno), path(name))
            }
            found.append(descriptor)
            guard unsafe isSameKind(descriptor, map) else { return nil }
        }
        guard try MeterReading.number(ofMap: found[1]) >= youngest else { return nil }
        return try body(found)
    }

    private func isSameKind(_ descriptor: CInt, _ map: OpaquePointer) -> Bool {
        var facts = bpf_map_info()
        var length = UInt32(MemoryLayout<bpf_map_info>.size)
        guard unsafe bpf_obj_get_info_by_fd(descriptor, &facts, &length) == 0 else { return false }
        return unsafe facts.type == bpf_map__type(map).rawValue && facts.key_size == bpf_map__key_size(map)
            && facts.value_size == bpf_map__value_size(map) && facts.max_entries == bpf_map__max_entries(map)
    }

    /// Gives loaded maps their names, in the place of what is of no bill any more.
    ///
    /// - Throws: EEXIST where others are still to be billed.
    func begin(_ maps: [OpaquePointer]) throws(KernelError) {
        let isTaken: Void? = try unsafe open(like: maps) { _ throws(KernelError) in }
        guard isTaken == nil else { throw KernelError("BPF_OBJ_PIN", .fileExists, directory) }
        remove()
        let parent = directory.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        for folder in [parent, directory] {
            guard unsafe mkdir(folder, 0o700) == 0 || errno == EEXIST else {
                throw KernelError("mkdir", Errno(rawValue: errno), folder)
            }
        }
        for unsafe(name, map) in unsafe zip(Self.names, maps) {
            try check("BPF_OBJ_PIN", path(name), unsafe bpf_obj_pin(bpf_map__fd(map), path(name)))
        }
    }
}
