import Glibc
import LinuxSystem

/// A terminal's other screen, on which pictures are shown, and which is left as it was found.
///
/// ECMA-48 and the few of xterm's private modes that every terminal of today has: 1049 for the other screen, 25 for the
/// cursor. A terminal without them shows pictures on the screen that it has.
struct Screen: ~Copyable {
    private static let empty = "\u{1b}[?25l\u{1b}[0m\u{1b}[2J"
    private static let enter = "\u{1b}[?1049h" + empty
    private static let leave = "\u{1b}[0m\u{1b}[2J\u{1b}[H\u{1b}[?25h\u{1b}[?1049l"

    private var terminal: TerminalDescriptor
    /// What the terminal has not taken yet.
    private var rest: [UInt8] = []
    /// What it shows, line by line.
    private var shown: [String] = []
    private var isEntered = false

    init(on descriptor: CInt) throws(KernelError) { terminal = try TerminalDescriptor(reopening: descriptor) }

    /// The number, to wait for it in a set.
    var raw: CInt { terminal.raw }

    /// Whether part of a picture still waits for the terminal to take it.
    var isBusy: Bool { !rest.isEmpty }

    var size: Size {
        TerminalDescriptor.window(of: raw).map { Size(columns: $0.columns, rows: $0.rows) } ?? .usual
    }

    /// Keys are taken and the other screen is shown, empty.
    mutating func open() throws(KernelError) {
        try terminal.takeKeys()
        isEntered = true
        shown = []
        rest = Array(Self.enter.utf8)
        try flush()
    }

    /// All is as it was.
    mutating func close() {
        guard isEntered else { return }
        isEntered = false
        // In the midst of a picture perhaps: the escape that comes next ends any sequence that was cut.
        rest = Array(Self.leave.utf8)
        // One that takes nothing, because somebody holds it, is not waited for longer than a person would.
        for _ in 0..<20 where isBusy {
            guard (try? flush()) != nil else { break }
            if isBusy { _ = UnixSocket.wait([(raw, POLLOUT)], milliseconds: 10) }
        }
        terminal.giveBack()
    }

    /// Shows a picture instead of the last one, of which only what differs is sent. While the terminal is busy with that, nothing.
    mutating func show(_ picture: Picture, in style: Style) throws(KernelError) {
        guard !isBusy else { return }
        var text = ""
        let lines = picture.lines.map { $0.text(in: style) }
        for row in 0..<max(lines.count, shown.count) {
            let line = row < lines.count ? lines[row] : ""
            if row < shown.count, shown[row] == line { continue }
            // Cleared before it is written: after the last column, some would take that away again.
            text += "\u{1b}[\(row + 1);1H\u{1b}[2K" + line
        }
        shown = lines
        rest = Array(text.utf8)
        try flush()
    }

    /// Set up anew, empty, whatever became of it meanwhile: the window has changed, or a shell has had it.
    mutating func renew() throws(KernelError) {
        try terminal.takeKeys()
        shown = []
        rest += Array(Self.empty.utf8)
        try flush()
    }

    mutating func flush() throws(KernelError) {
        while isBusy {
            let count = try terminal.write(rest[...])
            guard count > 0 else { return }
            rest.removeFirst(count)
        }
    }

    /// What was typed; nil once the terminal has gone.
    func keys() -> [Key]? { terminal.read().map { Key.keys(in: $0) } }

    deinit {
        // Whatever is thrown past its owner.
        guard isEntered else { return }
        _ = try? terminal.write(Array(Self.leave.utf8)[...])
    }
}

/// What a person asks for by a key.
enum Key: Equatable {
    case quit, pause, mask
    case order(View.Order)

    /// Keys that mean nothing, arrows for example, are passed over whole.
    static func keys(in octets: [UInt8]) -> [Key] {
        var keys: [Key] = []
        var rest = octets[...]
        while let octet = rest.popFirst() {
            switch octet {
            case 0x1b:
                // ECMA-48: a control sequence ends with its final octet; after SS3 there is one octet more.
                guard let introducer = rest.popFirst() else { break }
                if introducer == UInt8(ascii: "[") {
                    while let next = rest.popFirst(), !(0x40...0x7e).contains(next) {}
                } else if introducer == UInt8(ascii: "O") {
                    _ = rest.popFirst()
                }
            // Ctrl-C, and Ctrl-D, where the terminal does not turn the first into a signal.
            case UInt8(ascii: "q"), UInt8(ascii: "Q"), 0x03, 0x04: keys.append(.quit)
            case UInt8(ascii: "p"), UInt8(ascii: " "): keys.append(.pause)
            case UInt8(ascii: "r"): keys.append(.order(.rate))
            case UInt8(ascii: "b"): keys.append(.order(.bytes))
            case UInt8(ascii: "a"): keys.append(.order(.age))
            case UInt8(ascii: "v"): keys.append(.mask)
            default: break
            }
        }
        return keys
    }
}
