/// One setting: declared once, known by three names, written in text, meant as a value.
package struct Setting: Sendable {
    /// The YAML key; a dot nests.
    package let key: String
    /// What it decides, in one line.
    package let meaning: String
    /// A correct value, shown whenever a wrong one is refused.
    package let example: String
    /// The default, as a person would write it or, where it is found out, say it.
    package let byDefault: String
    /// Reads a text into its place.
    let assign: @Sendable (String, inout NodeSettings) throws(Misfit) -> Void

    /// - Parameter byDefault: for a default that is found out or empty; any other is read from `NodeSettings`.
    init<Value: Sendable>(
        _ key: String, _ place: any WritableKeyPath<NodeSettings, Value> & Sendable, meaning: String, example: String,
        byDefault: String? = nil, parse: @escaping @Sendable (String) throws(Misfit) -> Value
    ) {
        self.key = key
        self.meaning = meaning
        self.example = example
        self.byDefault = byDefault ?? "\(NodeSettings()[keyPath: place])"
        assign = { (text, settings) throws(Misfit) in settings[keyPath: place] = try parse(text) }
    }

    /// `FORWARDER_BINDING_PORTS`
    package var variable: String {
        Self.variablePrefix + String(key.map { $0 == "." ? "_" : Character($0.uppercased()) })
    }

    /// `binding-ports`, to which the command line adds two dashes.
    package var flag: String { String(key.map { $0 == "." || $0 == "_" ? "-" : $0 }) }

    static let variablePrefix = "FORWARDER_"
}

/// Why a text is no value of its setting: ends a sentence that began with the text.
struct Misfit: Error {
    let reason: String
    /// What was probably meant, to be shown in the example's place.
    var meant: String?
}
