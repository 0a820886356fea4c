import Cap

/// Stages joined by commas, or `none`.
func stages(_ text: String) throws(Misfit) -> Stages {
    guard text != "none" else { return Stages([]) }
    var list: [Stage] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let words = part.split(separator: " ").map(String.init)
        let written = words.joined(separator: " ")
        let stage: Stage
        do {
            stage = try Stage(words)
        } catch {
            throw Misfit(reason: "holds \"\(written)\", \(error.reason)")
        }
        if let last = list.last, last.action == .stop {
            throw Misfit(reason: "holds \"\(written)\" after \"\(last)\", and nothing comes after that")
        }
        // Where a share lies among amounts is known once the cap is.
        if let before = list.last(where: { $0.threshold.isShare == stage.threshold.isShare }) {
            guard before.threshold != stage.threshold else {
                throw Misfit(reason: "holds two stages at \(stage.threshold)")
            }
            guard before.threshold.isLess(than: stage.threshold) else {
                throw Misfit(reason: "holds \"\(written)\" after \"\(before)\", which begins later")
            }
        }
        list.append(stage)
    }
    return Stages(list)
}

extension Stage {
    private enum Word: String, CaseIterable { case warn, rate, pace, stop }

    /// - Throws: what continues `holds "...", `.
    fileprivate init(_ words: [String]) throws(Misfit) {
        // A blank may stand between a number and its unit.
        let isApart = words.count > 1 && (["%"] + ByteCount.units.map(\.name)).contains(words[1])
        let count = isApart ? 2 : 1
        guard words.count > count else {
            throw Misfit(reason: "which is not a share or an amount and what happens from there, as 80% warn is")
        }
        let threshold: Portion = try Self.part(words[..<count], Self.threshold)
        let rest = words[(count + 1)...]
        let action: Action
        switch try Self.word(words[count]) {
        case .rate where rest.isEmpty: throw Misfit(reason: "which says no rate, as 95% rate 512kbit/s does")
        case .rate: action = .rate(try Self.part(rest, bitRate))
        case .pace: action = .pace(floor: rest.isEmpty ? Self.usualFloor : try Self.part(rest, bitRate))
        case .warn where rest.isEmpty: action = .warn
        case .stop where rest.isEmpty: action = .stop
        case .warn, .stop: throw Misfit(reason: "where nothing may follow \"\(words[count])\"")
        }
        self.init(threshold, action)
    }

    private static func threshold(_ text: String) throws(Misfit) -> Portion {
        let threshold = try portion(text)
        guard threshold != .share(.percent(0)), threshold != .bytes(ByteCount(0)) else {
            throw Misfit(reason: "is before anything is used")
        }
        return threshold
    }

    private static func word(_ text: String) throws(Misfit) -> Word {
        let names = Word.allCases.map(\.rawValue)
        guard let word = Word(rawValue: text) else {
            let meant = nearest(to: text, among: names).map { ": did you mean \($0)?" } ?? ""
            throw Misfit(reason: "where \"\(text)\" is not \(alternatives(names))\(meant)")
        }
        return word
    }

    private static func part<Value>(
        _ words: ArraySlice<String>, _ read: (String) throws(Misfit) -> Value
    ) throws(Misfit) -> Value {
        let text = words.joined(separator: " ")
        do {
            return try read(text)
        } catch {
            throw Misfit(reason: "where \"\(text)\" \(error.reason)")
        }
    }
}
