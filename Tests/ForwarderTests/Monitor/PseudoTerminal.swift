import Foundation
import Glibc
import Lab
import LinuxSystem
import Synchronization
import Testing

/// A terminal that nobody sits at (pty(7)): what is written to it is put on a screen of its own, and it types what it is told.
final class PseudoTerminal: Sendable {
    /// Of its other side, which programs are started on.
    let path: String
    private let state: Mutex<State>

    private struct State {
        var master: CInt
        /// Kept open, or it is hung up as soon as nobody else has it.
        var slave: CInt
        var screen = TerminalScreen()
        var isHeld = false
    }

    init(columns: Int = 80, rows: Int = 24) throws {
        let master = unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // TIOCSPTLCK and TIOCGPTN (ioctl_tty(2)): unlock the other side, and its number.
        var (locked, number) = (CInt(0), CUnsignedInt(0))
        let isMade = unsafe ioctl(master, 0x4004_5431, &locked) == 0 && ioctl(master, 0x8004_5430, &number) == 0
        try #require(isMade)
        path = "/dev/pts/\(number)"
        state = Mutex(State(master: master, slave: unsafe open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)))
        _ = fcntl(master, F_SETFL, O_NONBLOCK)
        try resize(columns: columns, rows: rows)
        Foundation.Thread.detachNewThread { [weak self] in
            while self?.read() == true { usleep(2_000) }
        }
    }

    /// False once it is gone.
    private func read() -> Bool {
        state.withLock { state in
            var octets = [UInt8](repeating: 0, count: 65_536)
            guard state.master >= 0 else { return false }
            guard !state.isHeld else { return true }
            let count = unsafe Glibc.read(state.master, &octets, octets.count)
            if count > 0 { state.screen.take(octets[..<count]) }
            return true
        }
    }

    var screen: TerminalScreen { state.withLock { $0.screen } }

    /// Its modes, as stty has them.
    func modes() throws -> String {
        let stty = try ChildProcess(["stty", "-g", "-F", path])
        try #require(stty.wait(upTo: .seconds(5)) == .exited(0))
        return stty.standardOutput
    }

    func type(_ keys: String) {
        let octets = Array(keys.utf8)
        state.withLock { _ = unsafe Glibc.write($0.master, octets, octets.count) }
    }

    /// Tells whoever runs on it, too.
    func resize(columns: Int, rows: Int) throws {
        let stty = try ChildProcess(["stty", "-F", path, "cols", "\(columns)", "rows", "\(rows)"])
        try #require(stty.wait(upTo: .seconds(5)) == .exited(0))
    }

    /// Takes nothing any more, as one whose line hangs.
    func hold() { state.withLock { $0.isHeld = true } }

    /// Gone, as when the window is closed or the line is cut.
    func vanish() {
        state.withLock { state in
            close(state.slave)
            close(state.master)
            state.master = -1
            state.slave = -1
        }
    }

    /// Starts a program whose terminal this is; what it says on stderr goes elsewhere.
    ///
    /// - Parameter host: of a lab; by default where the tests run.
    func start(
        _ program: [String], on host: LabHost? = nil, environment: [String: String] = [:]
    ) throws -> ChildProcess {
        // A session leader without a terminal gets the first that it opens.
        try start(shell: #"exec "$@" <>"$0" >&0"#, program, on: host, environment: environment)
    }

    /// Starts a line of shell, in which `$@` is the program and `$0` this terminal.
    func start(
        shell line: String, _ program: [String], on host: LabHost? = nil, environment: [String: String] = [:]
    ) throws -> ChildProcess {
        let settings = ["TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "NO_COLOR": ""].merging(environment) { $1 }
        let line = ["env"] + settings.map { "\($0)=\($1)" } + ["bash", "-c", line, path] + program
        return try host?.start(line) ?? ChildProcess(line)
    }

    /// Starts a program whose session it is not, and to which nobody tells that it hangs up.
    func startElsewhere(_ program: [String]) throws -> ChildProcess {
        let slave = state.withLock { $0.slave }
        return try ChildProcess(
            ["env", "TERM=xterm", "LC_ALL=C.UTF-8", "sh", "-c", #"exec "$@" >&0"#, "sh"] + program,
            input: .descriptor(slave))
    }

    deinit {
        state.withLock { state in
            guard state.master >= 0 else { return }
            close(state.slave)
            close(state.master)
        }
    }
}

/// What a terminal shows, as far as a monitor asks it to; anything that it does not know is kept for the test to complain of.
struct TerminalScreen {
    struct Cell: Equatable {
        var character: Unicode.Scalar
        /// The parameters of the last "select graphic rendition".
        var rendition: String
    }

    /// By row, from 1.
    private(set) var rows: [Int: [Cell]] = [:]
    private(set) var isOther = false
    private(set) var hasCursor = true
    private(set) var unknown: [String] = []
    /// Octets taken so far.
    private(set) var taken = 0
    private var position = (row: 1, column: 1)
    private var rendition = ""
    private var rest: [UInt8] = []

    var text: String {
        guard let last = rows.keys.max(), last >= 1 else { return "" }
        return (1...last).map { row in
            String(String.UnicodeScalarView((rows[row] ?? []).map(\.character))) + "\n"
        }.joined()
    }

    mutating func take(_ octets: some Collection<UInt8>) {
        taken += octets.count
        rest += octets
        // A character or sequence may come in two pieces.
        while let octet = rest.first {
            switch octet {
            case 0x1b:
                guard let end = rest.dropFirst(2).firstIndex(where: { (0x40...0x7e).contains($0) }) else { return }
                follow(String(decoding: rest[1...end], as: UTF8.self))
                rest.removeFirst(end + 1)
            case 0x0d:
                position.column = 1
                rest.removeFirst()
            case 0x0a:
                position.row += 1
                rest.removeFirst()
            default:
                let length = octet < 0x80 ? 1 : octet < 0xe0 ? 2 : octet < 0xf0 ? 3 : 4
                guard rest.count >= length else { return }
                put(String(decoding: rest[..<length], as: UTF8.self).unicodeScalars.first ?? "?")
                rest.removeFirst(length)
            }
        }
    }

    private mutating func put(_ character: Unicode.Scalar) {
        if character.value < 0x20 { unknown.append("\(character.value)") }
        var row = rows[position.row] ?? []
        while row.count < position.column { row.append(Cell(character: " ", rendition: "0")) }
        row[position.column - 1] = Cell(character: character, rendition: rendition)
        rows[position.row] = row
        position.column += 1
    }

    private mutating func follow(_ sequence: String) {
        switch sequence {
        case "[?1049h": isOther = true
        case "[?1049l": isOther = false
        case "[?25l": hasCursor = false
        case "[?25h": hasCursor = true
        case "[2J": rows = [:]
        case "[2K": rows[position.row] = nil
        case "[H": position = (1, 1)
        default:
            if let match = sequence.wholeMatch(of: /\[([0-9]+);1H/), let row = Int(match.1) {
                position = (row, 1)
            } else if let match = sequence.wholeMatch(of: /\[([0-9;]*)m/) {
                rendition = String(match.1)
            } else {
                unknown.append(sequence)
            }
        }
    }
}
