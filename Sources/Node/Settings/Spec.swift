/// The settings as a person wrote them: text, and where it stood. Nothing in it is checked but the names.
package struct Spec: Sendable, Equatable {
    /// One setting's text.
    struct Written: Sendable, Equatable {
        let text: String
        let origin: Origin
    }

    /// Where a text stood. A flag wins over a variable, a variable over the file.
    enum Origin: Sendable, Equatable {
        case flag
        case variable
        case file(String)
    }

    private var written: [String: Written] = [:]

    /// Gathers flags, environment and, where one was named, the file.
    ///
    /// - Parameters:
    ///   - flags: text by the setting's flag, without its dashes.
    ///   - environment: all of it; what does not begin with `FORWARDER_` is not ours.
    /// - Throws: a refusal for a name that no setting has, with the nearest that one has.
    package init(
        flags: [String: String] = [:], environment: [String: String] = [:], file: SettingsFile? = nil
    ) throws(Refusal) {
        if let file {
            for (key, text) in file.entries {
                guard Setting.catalogue.contains(where: { $0.key == key }) else {
                    throw .unknown(key, near: Setting.catalogue.map(\.key), in: file.path)
                }
                written[key] = Written(text: text, origin: .file(file.path))
            }
        }
        try merge(environment.filter { $0.key.hasPrefix(Setting.variablePrefix) }, \.variable, .variable)
        try merge(flags, \.flag, .flag)
    }

    subscript(setting: Setting) -> Written? { written[setting.key] }

    private mutating func merge(
        _ texts: [String: String], _ name: KeyPath<Setting, String>, _ origin: Origin
    ) throws(Refusal) {
        // Sorted, so that of two unknown names it is always the same that is told.
        for (given, text) in texts.sorted(by: { $0.key < $1.key }) {
            guard let setting = Setting.catalogue.first(where: { $0[keyPath: name] == given }) else {
                throw .unknown(given, near: Setting.catalogue.map { $0[keyPath: name] }, in: origin.noun)
            }
            written[setting.key] = Written(text: text, origin: origin)
        }
    }
}

extension Spec.Origin {
    fileprivate var noun: String {
        switch self {
        case .flag: "the command line"
        case .variable: "the environment"
        case .file(let path): path
        }
    }

    /// The name under which this origin knows a setting.
    func place(of setting: Setting) -> String {
        switch self {
        case .flag: "--\(setting.flag)"
        case .variable: setting.variable
        case .file(let path): "\(setting.key) in \(path)"
        }
    }

    /// How one writes a setting there.
    func spelling(of setting: Setting, as text: String) -> String {
        switch self {
        case .flag: "--\(setting.flag) \(shellWord(text))"
        case .variable: "\(setting.variable)=\(shellWord(text))"
        case .file: "\(setting.key): \(text)"
        }
    }
}

extension Refusal {
    fileprivate static func unknown(_ name: String, near names: [String], in place: String) -> Refusal {
        // What all variables begin with makes none of them more alike.
        func distinctive(_ name: String) -> String {
            let prefix = Setting.variablePrefix
            return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
        }
        let near = nearest(to: distinctive(name), among: names.map(distinctive))
        let meant = names.first { distinctive($0) == near }.map { "did you mean \($0)? " }
        return Refusal(
            couldNot: "read the settings", because: "no setting is called \"\(name)\" (in \(place))",
            remedy: (meant ?? "") + "`forwarder print settings` lists all", exitCode: .usage)
    }
}
