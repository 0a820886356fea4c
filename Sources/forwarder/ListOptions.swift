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
        help: ArgumentHelp("Ask again after so many seconds, until Ctrl-C or the node's end.", valueName: "seconds"))
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
            let text = list.text(since: earlier.map { ($0.list, $0.at.duration(to: now) / .seconds(1)) })
            guard try Output.look(list, text, in: answer.form) else { return }
            earlier = (list, now)
            sleep(UInt32(watch))
        }
    }
}

/// An answer that tells more when there was one before it.
protocol Listing: Answer {
    /// An answer, and how many seconds ago it was given.
    typealias Earlier = (list: Self, seconds: Double)

    /// - Parameter earlier: the answer before; by it rates are told.
    func text(since earlier: Earlier?) -> String
}

extension Listing {
    var text: String { text(since: nil) }
}

extension Rated {
    /// Bytes a second, each way; empty where it was not seen before.
    var columns: [String] {
        [egress, ingress].map { $0.map { bytesText(UInt64(min($0 / 8, 1e18))) + "/s" } ?? "" }
    }
}
