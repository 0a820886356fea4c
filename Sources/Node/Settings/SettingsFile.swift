import LinuxSystem
import SystemPackage
import Yams

/// A YAML file of settings, flattened: `cap: {meter: uplink}` is the key `cap.meter`, a list is joined by commas.
///
/// A key that has a value and others below it is written flat, `cap: 35GB` beside `cap.meter: uplink`, or as a map whose
/// empty key is the value's, `cap: {"": 35GB, meter: uplink}`.
package struct SettingsFile: Sendable {
    package let path: String
    /// In the order of the file.
    let entries: [(key: String, text: String)]

    /// Settings are a few lines: what is longer was named by mistake.
    private static let limit = 65_536
    private static let entryLimit = 256

    /// - Throws: a refusal for a file that cannot be read or is not a map of settings.
    package init(path: String) throws(Refusal) {
        let couldNot = "read the settings"
        let remedy = "name a file that is there: --config forwarder.yaml"
        let octets = try refusing(couldNot: couldNot, remedy: remedy) { () throws(KernelError) in
            try Self.beginning(of: path)
        }
        guard let octets else {
            throw Refusal(
                couldNot: couldNot, because: "\(path) is no regular file", remedy: remedy, exitCode: .unavailable)
        }
        guard octets.count <= Self.limit else {
            throw Self.refusal(path, "it is longer than \(Self.limit) octets, as no file of settings is")
        }
        try self.init(yaml: String(decoding: octets, as: UTF8.self), path: path)
    }

    init(yaml: String, path: String) throws(Refusal) {
        self.path = path
        let root: Yams.Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch YamlError.duplicatedKeysInMapping(let keys, _) {
            throw Self.refusal(path, "it says \(keys.sorted().joined(separator: ", ")) more than once")
        } catch {
            throw Self.refusal(path, "it is not YAML: \(Self.problem(error))")
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
            // Anchors can make a thousand of one.
            guard entries.count < entryLimit else { throw refusal(path, "it holds more than \(entryLimit) keys") }
            guard case .scalar(let name) = name else { throw refusal(path, "one of its keys is not a word") }
            let key = name.string.isEmpty ? String(prefix.dropLast()) : prefix + name.string
            let text: String
            switch value {
            case .scalar(let scalar):
                text = scalar.string
            case .sequence(let sequence):
                let items = sequence.compactMap(\.scalar?.string)
                guard items.count == sequence.count else {
                    throw refusal(path, "the list under \(key) holds more than words")
                }
                text = items.joined(separator: ",")
            case .mapping(let mapping):
                try flatten(mapping, under: key + ".", of: path, into: &entries)
                continue
            case .alias:
                throw refusal(path, "\(key) stands for an anchor that is not there")
            }
            // Yams sees what is written twice, but not what is written flat and in a map.
            guard !entries.contains(where: { $0.key == key }) else {
                throw refusal(path, "it says \(key) more than once")
            }
            entries.append((key, text))
        }
    }

    private static func refusal(_ path: String, _ reason: String) -> Refusal {
        Refusal(
            couldNot: "read the settings in \(path)", because: reason,
            remedy: "write one `key: value` per line, for example `flows: 65536`", exitCode: .usage)
    }

    /// Where and what, without the text: Yams would quote it, and the log is no place for what a person has written there.
    private static func problem(_ error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return "line \(mark.line), column \(mark.column): \(problem)"
        case .reader(let problem, let offset?, _, let yaml):
            let lines = yaml.prefix(offset).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            return "line \(lines.count), column \((lines.last?.count ?? 0) + 1): \(problem)"
        case .reader(let problem, nil, _, _):
            return problem
        default:
            return "\(error)"
        }
    }

    /// Up to one octet more than settings may have; nothing of what is no regular file, which might never end.
    private static func beginning(of path: String) throws(KernelError) -> [UInt8]? {
        do {
            // Otherwise a pipe keeps whoever opens it until somebody writes.
            let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .nonBlocking)
            defer { try? file.close() }
            guard try file.stat().type == .regular else { return nil }
            var octets = [UInt8](repeating: 0, count: limit + 1)
            var count = 0
            while count < octets.count {
                let read = try unsafe octets.withUnsafeMutableBytes { space in
                    try unsafe file.read(into: UnsafeMutableRawBufferPointer(rebasing: space[count...]))
                }
                guard read > 0 else { break }
                count += read
            }
            return Array(octets[..<count])
        } catch {
            throw KernelError("open", error as? Errno ?? .ioError, path)
        }
    }
}
