import ArgumentParser
import Glibc
import Node

/// What the verbs that list flows or clients take: how many, whether as they are, and whether again and again.
struct ListOptions: ParsableArguments {
    @Option(help: ArgumentHelp("How many to list.", valueName: "count"))
    var top = 20

    @Flag(help: "Show addresses, ports and names as they are.")
    var reveal = false

    @Option(
        defaultAsFlag: 1,
        help: ArgumentHelp("Ask again after so many seconds, until Ctrl-C.", valueName: "seconds"))
    var watch: Int?

    @OptionGroup var options: SettingOptions<ReachingANode>

    @OptionGroup var answer: AnswerOptions

    private static let pauses = 1...3_600

    var addresses: ControlRequest.Addresses { reveal ? .revealed : .masked }

    func validate() throws {
        let range = ControlRequest.topRange
        guard range.contains(top) else {
            throw ValidationError("--top takes \(range.lowerBound) to \(range.upperBound), not \(top)")
        }
        if let watch, !Self.pauses.contains(watch) {
            throw ValidationError(
                "--watch takes \(Self.pauses.lowerBound) to \(Self.pauses.upperBound) seconds, not \(watch)")
        }
    }

    /// Shows the answer, once or until Ctrl-C or nobody reads any more.
    func show<List: Listing>(_ request: ControlRequest, as _: List.Type) throws {
        let path = try options.settings().controlSocket
        var earlier: (list: List, at: ContinuousClock.Instant)?
        while true {
            let list: List = try ControlClient.ask(request, at: path)
            guard let watch else { return try Output.answer(list, in: answer.form) }
            let now = ContinuousClock.now
            let text = list.text(since: earlier.map { ($0.list, $0.at.duration(to: now)) })
            guard try Output.look(list, text, in: answer.form) else { return }
            earlier = (list, now)
            sleep(UInt32(watch))
        }
    }
}

/// An answer that tells more when there was one before it.
protocol Listing: Answer {
    typealias Earlier = (list: Self, ago: Duration)

    /// - Parameter earlier: the answer before; by it rates are told.
    func text(since earlier: Earlier?) -> String
}

extension Listing {
    var text: String { text(since: nil) }
}

/// What a count has grown by each second; nothing where the earlier count is not known. A node that has started again counts
/// from the beginning.
func rateText(_ bytes: UInt64, since earlier: UInt64?, ago: Duration) -> String {
    guard let earlier, ago > .zero else { return "" }
    let grown = Double(bytes >= earlier ? bytes - earlier : bytes)
    return bytesText(UInt64(min(grown / (ago / .seconds(1)), 1e18))) + "/s"
}
