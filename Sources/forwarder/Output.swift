import ArgumentParser
import Glibc
import Node
import Synchronization

/// An answer that a person can read, too.
protocol Answer: Report {
    /// Lines for a person, the last one ended.
    var text: String { get }
}

/// The one door for output: answers go to stdout, conversation to stderr. What is drawn again and again has a `Screen`.
enum Output {
    enum Form {
        case text
        case json

        /// Told from the bare arguments, because arguments that make no sense are answered in this form too.
        init(askedBy arguments: [String]) {
            self = arguments.prefix { $0 != "--" }.contains("--json") ? .json : .text
        }
    }

    /// - Throws: a refusal if stdout does not take it.
    static func answer(_ answer: some Answer, in form: Form) throws(Refusal) {
        switch form {
        case .text: try write(Array(answer.text.utf8))
        case .json: try write(Array(answer.json()) + [UInt8(ascii: "\n")])
        }
    }

    /// Shows one of many answers: on a terminal in the place of the one before, elsewhere behind it. Nothing is changed of
    /// the terminal, so nothing is to be put back, whatever ends us.
    ///
    /// - Returns: whether anybody reads on.
    static func look(_ answer: some Answer, _ text: String, in form: Form) throws(Refusal) -> Bool {
        guard form == .text else { return try write(Array(answer.json()) + [UInt8(ascii: "\n")]) }
        guard isatty(STDOUT_FILENO) == 1, !isDumb else { return try write(Array("\(text)\n".utf8)) }
        var window = winsize()
        let isKnown = unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &window) == 0 && window.ws_row > 0
        return try write(
            Array(
                picture(
                    of: text, rows: isKnown ? Int(window.ws_row) : 24, columns: isKnown ? Int(window.ws_col) : 80
                ).utf8))
    }

    /// What a window has room for, written from its first column and row on; what is left of each row and of the window is
    /// erased (CUP, EL and ED of ECMA-48). The last column stays free, for a row that fills it is not ended alike everywhere.
    static func picture(of text: String, rows: Int, columns: Int) -> String {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).prefix(max(1, rows - 1))
        return "\u{1b}[H" + lines.map { $0.prefix(max(0, columns - 1)) + "\u{1b}[K\n" }.joined() + "\u{1b}[J"
    }

    private static var isDumb: Bool { unsafe getenv("TERM").map { unsafe strcmp($0, "dumb") == 0 } ?? true }

    /// Tells a refusal, as the only object on stdout where JSON is asked for.
    static func refuse(_ refusal: Refusal, in form: Form) -> Node.ExitCode {
        if form == .json, let json = try? RefusalReport(refusal).json() {
            _ = try? write(Array(json) + [UInt8(ascii: "\n")])
        }
        say("\(refusal)")
        return refusal.exitCode
    }

    /// Help and the like: asked for, hence an answer.
    static func tell(_ text: String) -> Node.ExitCode {
        do {
            try write(Array((text.hasSuffix("\n") ? text : text + "\n").utf8))
            return .yes
        } catch {
            return refuse(error, in: .text)
        }
    }

    /// One line, or a few, of conversation.
    static func say(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { LogLine.printable(String($0)) }
        _ = send(Array("forwarder: \(lines.joined(separator: "\n"))\n".utf8), to: STDERR_FILENO, within: patience)
    }

    /// Milliseconds that a reader of stderr is waited for: who ends does not wait for ever to say why.
    private static let patience: CInt = 1_000

    /// One event of a node that runs. Where nobody takes what stderr says, lines are lost and counted: a node does not wait
    /// for its reader.
    static func log(_ line: LogLine, as format: LogFormat) {
        lost.withLock { $0.send(line, as: format) }
    }

    /// What nobody took, or no disk had room for.
    private struct Lost {
        var lines = 0
        /// Whether what was written last has no end.
        var isTorn = false

        mutating func send(_ line: LogLine, as format: LogFormat) {
            let notice = LogLine(at: line.at, .warning, "\(lines) lines before this one were lost")
            // In one piece: who takes the notice takes the line.
            let told = (lines > 0 ? [notice, line] : [line]).map { $0.text(format) + "\n" }
            let octets = Array(((isTorn ? "\n" : "") + told.joined()).utf8)
            let taken = Output.send(octets, to: STDERR_FILENO, within: 0).taken
            if taken > 0 { isTorn = octets[taken - 1] != UInt8(ascii: "\n") }
            lines = taken == octets.count ? 0 : lines + 1
        }
    }

    /// Ends the process at once, whatever else goes on in it, for what nothing can be put right from here.
    static func abandon(_ refusal: Refusal, as format: LogFormat) -> Never {
        end(refusal, as: format)
        _exit(refusal.exitCode.rawValue)
    }

    /// Why a node ends: a line of its log for a machine, lines of their own for a person. It does not wait for the log's
    /// lock, which another thread may have and wait with.
    static func end(_ refusal: Refusal, as format: LogFormat) {
        switch format {
        case .logfmt: say("\(refusal)")
        case .json:
            let isTorn = lost.withLockIfAvailable { $0.isTorn } ?? false
            let line = (isTorn ? "\n" : "") + LogLine(refusal).text(format) + "\n"
            _ = send(Array(line.utf8), to: STDERR_FILENO, within: patience)
        }
    }

    private static let lost = Mutex(Lost())

    /// - Returns: whether anybody reads: one that went away has had enough.
    @discardableResult
    private static func write(_ octets: [UInt8]) throws(Refusal) -> Bool {
        switch send(octets, to: STDOUT_FILENO).errno {
        case 0: return true
        case EPIPE: return false
        case let error:
            throw Refusal(
                couldNot: "write the answer", because: "stdout: \(unsafe String(cString: strerror(error)))",
                exitCode: .unavailable)
        }
    }

    /// What a pipe takes at once when it says that it takes anything (pipe(7), PIPE_BUF).
    private static let page = 4_096

    /// - Parameter patience: milliseconds that a reader is waited for, time and again; for ever where nothing is said.
    /// - Returns: how many octets were written, and the errno that stopped it, or zero.
    private static func send(
        _ octets: [UInt8], to descriptor: CInt, within patience: CInt? = nil
    ) -> (taken: Int, errno: CInt) {
        var rest = octets[...]
        while !rest.isEmpty {
            var next = rest
            if let patience {
                var ready = pollfd(fd: descriptor, events: CShort(POLLOUT), revents: 0)
                guard unsafe poll(&ready, 1, patience) > 0 else { return (rest.startIndex, EAGAIN) }
                next = rest.prefix(page)
            }
            let count = unsafe next.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                return (rest.startIndex, errno)
            }
        }
        return (octets.count, 0)
    }
}

/// `--json`, on every verb that answers.
struct AnswerOptions: ParsableArguments {
    @Flag(help: "Answer with one JSON object on stdout.")
    var json = false

    var form: Output.Form { json ? .json : .text }
}
