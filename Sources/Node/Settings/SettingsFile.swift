import LinuxSystem
import SystemPackage
import Yams

/// A YAML file of settings, flattened: `cap: {meter: uplink}` is the key `cap.meter`, a list is joined by commas.
package struct SettingsFile: Sendable {
    package let path: String
    /// In the order of the file.
    let entries: [(key: String, text: String)]

    /// - Throws: a refusal for a file that cannot be read or is not a map of settings.
    package init(path: String) throws(Refusal) {
        let text: String
        do {
            text = try Self.contents(of: path)
        } catch {
            throw Refusal(
                couldNot: "read the settings", error, remedy: "name a file that is there: --config forwarder.yaml")
        }
        try self.init(yaml: text, path: path)
    }

    init(yaml: String, path: String) throws(Refusal) {
        self.path = path
        let root: Yams.Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch YamlError.duplicatedKeysInMapping(let keys, _) {
            throw Self.refusal(path, "it says \(keys.sorted().joined(separator: ", ")) more than once")
        } catch {
            throw Self.refusal(
                path, "it is not YAML: \(error)".split(whereSeparator: \.isNewline).joined(separator: " "))
        }
        // A file without a word in it sets nothing.
        guard let root, root.scalar?.string != "" else {
            entries = []
            return
        }
        guard case .mapping(let mapping) = root else {
            throw Self.refusal(path, "it is not a map of keys and values")
        }
        var entries: [(key: String, text: String)] = []
        try Self.flatten(mapping, under: "", of: path, into: &entries)
        self.entries = entries
    }

    private static func flatten(
        _ mapping: Yams.Node.Mapping, under prefix: String, of path: String,
        into entries: inout [(key: String, text: String)]
    ) throws(Refusal) {
        for (name, value) in mapping {
            guard case .scalar(let name) = name else { throw refusal(path, "one of its keys is not a word") }
            let key = prefix + name.string
            switch value {
            case .scalar(let scalar):
                entries.append((key, scalar.string))
            case .sequence(let sequence):
                let items = sequence.compactMap(\.scalar?.string)
                guard items.count == sequence.count else {
                    throw refusal(path, "the list under \(key) holds more than words")
                }
                entries.append((key, items.joined(separator: ",")))
            case .mapping(let mapping):
                try flatten(mapping, under: key + ".", of: path, into: &entries)
            case .alias:
                throw refusal(path, "\(key) stands for an anchor that is not there")
            }
        }
    }

    private static func refusal(_ path: String, _ reason: String) -> Refusal {
        Refusal(
            couldNot: "read the settings in \(path)", because: reason,
            remedy: "write one `key: value` per line, for example `flows: 65536`", exitCode: .usage)
    }

    /// At most 64 KiB are read: no file of settings is longer, and some that are named by mistake never end.
    private static func contents(of path: String) throws(KernelError) -> String {
        let limit = 65_536
        do {
            let file = try FileDescriptor.open(FilePath(path), .readOnly)
            defer { try? file.close() }
            var octets = [UInt8](repeating: 0, count: limit)
            var count = 0
            while count < limit {
                let read = try unsafe octets.withUnsafeMutableBytes { space in
                    try unsafe file.read(into: UnsafeMutableRawBufferPointer(rebasing: space[count...]))
                }
                guard read > 0 else { break }
                count += read
            }
            return String(decoding: octets[..<count], as: UTF8.self)
        } catch {
            throw KernelError("open", error as? Errno ?? .ioError, path)
        }
    }
}
