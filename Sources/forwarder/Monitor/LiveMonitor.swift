import Glibc
import LinuxSystem
import Node

/// A picture of a node on a terminal, redrawn with each look, until a key or a signal ends it.
///
/// One thread draws and takes keys and signals; another looks. Whatever ends it, the terminal is given back.
struct LiveMonitor: ~Copyable {
    private var screen: Screen
    private let signals: SignalDescriptor
    private let lookout: Lookout
    private let style: Style
    private var view: View
    private var watch: Watch
    /// What is shown while the person looks at it in peace.
    private var paused: Watch?

    /// Until it is ended, by q, Ctrl-C, SIGTERM, SIGHUP or SIGQUIT.
    ///
    /// - Throws: a refusal if nobody answers at `path` to begin with, or the terminal goes away.
    static func show(nodeAt path: String, _ view: View, _ style: Style) throws(Refusal) {
        let first = try Look(at: path, view.addresses)
        try refusing(couldNot: "show the monitor") { () throws(KernelError) in
            var monitor = try LiveMonitor(first, view, style)
            try monitor.lookout.begin(at: path, every: view.interval)
            try monitor.run()
        }
    }

    private init(_ first: Look, _ view: View, _ style: Style) throws(KernelError) {
        // Before there is another thread, or that one takes the signals.
        let signals = try SignalDescriptor([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH])
        let screen = try Screen(on: STDOUT_FILENO)
        lookout = try Lookout(view.addresses)
        self.signals = signals
        self.screen = screen
        self.style = style
        self.view = view
        self.view.takesKeys = true
        watch = Watch(first)
    }

    private mutating func run() throws(KernelError) {
        try screen.open()
        defer { screen.close() }
        while true {
            if !screen.isBusy { try draw() }
            let terminal = POLLIN | (screen.isBusy ? POLLOUT : 0)
            // Every second at least: a silence has to be told, too.
            let ready = UnixSocket.wait(
                [(screen.raw, terminal), (signals.raw, POLLIN), (lookout.raw, POLLIN)], milliseconds: 1_000)
            while let signal = signals.next() {
                guard try follow(signal) else { return }
            }
            if ready[0] & POLLOUT != 0 { try screen.flush() }
            if ready[0] & ~POLLOUT != 0 {
                guard let keys = screen.keys() else { throw KernelError("read", .ioError, "terminal") }
                for key in keys {
                    if key == .quit { return }
                    follow(key)
                }
            }
            if ready[2] != 0 { for look in lookout.take() { take(look) } }
        }
    }

    private mutating func draw() throws(KernelError) {
        try screen.show(Picture(of: paused ?? watch, as: view, in: screen.size, style, at: .now), in: style)
    }

    private mutating func take(_ look: Result<Look, Refusal>) {
        switch look {
        case .success(var look):
            // One that was on its way when masking was asked for.
            if !view.isRevealed, !look.flows.masked { look.hideAddresses() }
            watch.take(look)
        case .failure(let refusal): watch.miss(refusal.because, at: .now)
        }
    }

    private mutating func follow(_ key: Key) {
        switch key {
        case .quit: break
        case .pause:
            view.isPaused.toggle()
            paused = view.isPaused ? watch : nil
        case .order(let order): view.order = order
        case .mask:
            guard view.mayReveal else { return }
            view.isRevealed.toggle()
            lookout.ask(for: view.addresses)
            guard !view.isRevealed else { return }
            watch.hideAddresses()
            paused?.hideAddresses()
        }
    }

    /// False if it is the end.
    private mutating func follow(_ signal: CInt) throws(KernelError) -> Bool {
        switch signal {
        case SIGTSTP:
            screen.close()
            TerminalDescriptor.stopUntilContinued()
            try screen.open()
        // Perhaps nobody asked before it was stopped (SIGSTOP): a shell has had the terminal since.
        case SIGCONT, SIGWINCH: try screen.renew()
        default: return false
        }
        return true
    }
}

extension View {
    var addresses: ControlRequest.Addresses { isRevealed ? .revealed : .masked }
}
