internal import CLinux
internal import FoundationEssentials
internal import Glibc
package import LinuxSystem

/// A forwarder that runs on a lab's node.
package final class ForwarderProcess: Sendable {
    private let program: [String]
    private let node: LabHost
    package let child: ChildProcess

    /// Starts it and waits until it forwards.
    package convenience init(
        _ executable: String, on lab: any Lab, _ arguments: [String] = [], behind wrapper: [String] = [],
        capabilities: Capabilities = [.netAdmin, .bpf]
    ) throws(LabFailure) {
        try self.init(starting: executable, on: lab, arguments, behind: wrapper, capabilities: capabilities)
        try awaitForwarding()
    }

    /// Starts it.
    ///
    /// - Parameters:
    ///   - executable: the path of the program.
    ///   - arguments: flags of `forwarder run`. Settings that the person has in the environment are not passed on.
    ///   - wrapper: a program and its arguments that starts it, strace for example.
    ///   - capabilities: all it gets; by default the two it needs.
    package init(
        starting executable: String, on lab: any Lab, _ arguments: [String] = [], behind wrapper: [String] = [],
        capabilities: Capabilities = [.netAdmin, .bpf]
    ) throws(LabFailure) {
        program = Self.command(executable)
        node = lab.node
        child = try lab.node.start(wrapper + program + ["run"] + arguments, capabilities: capabilities)
    }

    /// What starts the program without settings that the person has in the environment.
    package static func command(_ executable: String) -> [String] {
        let settings = ProcessInfo.processInfo.environment.keys.filter { $0.hasPrefix("FORWARDER_") }
        return ["env"] + settings.flatMap { ["-u", $0] } + [executable]
    }

    package func awaitForwarding() throws(LabFailure) {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(10)
        while !child.standardError.contains("forwarding") {
            guard clock.now < deadline, child.wait(upTo: .milliseconds(5)) == nil else {
                throw LabFailure(couldNot: "start forwarder on \(node.name)", because: child.standardError)
            }
        }
    }

    /// The answer of a verb that is run beside it, or after it.
    package func ask(_ arguments: [String]) throws(LabFailure) -> String { try node.run(program + arguments) }

    /// Memory that it has resident now, shared pages included.
    package func residentBytes() throws(LabFailure) -> Int {
        let path = "/proc/\(child.processIdentifier)/status"
        let status = try toward("read \(path)") { () throws(KernelError) in try contents(of: path) }
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        guard let kibibytes = line?.split(separator: " ").dropLast().last.flatMap({ Int($0) }) else {
            throw LabFailure(couldNot: "read \(path)", because: "it has no VmRSS")
        }
        return kibibytes * 1024
    }

    /// Processor time it has used so far, its share of the kernel's work included; the kernel counts in hundredths.
    package func processorSeconds() throws(LabFailure) -> Double {
        let path = "/proc/\(child.processIdentifier)/stat"
        let stat = try toward("read \(path)") { () throws(KernelError) in try contents(of: path) }
        // The second field is a name, in parentheses, that may hold anything. The 14th and 15th are ticks in user and
        // in kernel mode (proc_pid_stat(5)).
        let fields = (stat.split(separator: ")").last ?? "").split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
            throw LabFailure(couldNot: "read \(path)", because: "it says \(stat)")
        }
        return (user + system) / Double(sysconf(CInt(_SC_CLK_TCK)))
    }

    /// The same to the nanosecond, of the threads that live.
    package func threadSeconds() -> Double {
        let tasks = "/proc/\(child.processIdentifier)/task"
        return ((try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []).reduce(0) { sum, thread in
            let times = (try? contents(of: "\(tasks)/\(thread)/schedstat"))?.split(separator: " ").compactMap {
                Double($0)
            }
            return sum + (times?.first ?? 0) / 1e9
        }
    }

    /// What the thread that moves packets has had so far.
    package struct LoopTimes: Sendable {
        /// Seconds on a processor, and seconds that it was ready and had none (sched-stats.rst).
        package let ran, waited: Double
        /// Times that it waited for a disk to bring memory back.
        package let majorFaults: Int
    }

    package func loopTimes() throws(LabFailure) -> LoopTimes {
        let tasks = "/proc/\(child.processIdentifier)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
        guard let loop = threads.first(where: { (try? contents(of: "\(tasks)/\($0)/comm")) == "fwd-loop\n" }) else {
            throw LabFailure(
                couldNot: "find the packet loop of forwarder on \(node.name)", because: "no thread has its name")
        }
        return try toward("read what the packet loop has had") { () throws(KernelError) in
            let times = try contents(of: "\(tasks)/\(loop)/schedstat").split(separator: " ").compactMap { Double($0) }
            // Behind the name, which is in parentheses, the tenth (proc_pid_stat(5)).
            let fields = try contents(of: "\(tasks)/\(loop)/stat").split(separator: ")").last?.split(separator: " ")
            return LoopTimes(
                ran: (times.first ?? 0) / 1e9, waited: (times.dropFirst().first ?? 0) / 1e9,
                majorFaults: (fields?.dropFirst(9).first).flatMap { Int($0) } ?? 0)
        }
    }

    /// Has the kernel take back what of its files is in memory, as on a machine that is short of it.
    ///
    /// - Returns: octets of mappings that let it.
    package func pageOut() throws(LabFailure) -> Int {
        let path = "/proc/\(child.processIdentifier)/maps"
        let maps = try toward("read \(path)") { () throws(KernelError) in try contents(of: path) }
        var octets = 0
        // "7f00-7f10 r-xp 00000000 fe:00 1234    /usr/lib/libc.so.6"
        for line in maps.split(separator: "\n") where line.contains(" /") {
            let ends = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard ends.count == 2 else { continue }
            octets += Int(max(0, clinux_page_out(child.processIdentifier, ends[0], Int(ends[1] - ends[0]))))
        }
        return octets
    }

    /// Stops it where it is, until SIGCONT. One thread takes the signal and stops the others: on a busy machine some go on
    /// for a moment, so this waits until none does.
    package func freeze() throws(LabFailure) {
        child.signal(SIGSTOP)
        let tasks = "/proc/\(child.processIdentifier)/task"
        for _ in 0..<500 {
            let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
            let states = threads.map { thread in
                (try? contents(of: "\(tasks)/\(thread)/stat"))?.split(separator: ")").last?.split(separator: " ").first
            }
            if !states.isEmpty, states.allSatisfy({ $0 == "T" }) { return }
            usleep(10_000)
        }
        throw LabFailure(couldNot: "freeze forwarder on \(node.name)", because: "not all of its threads have stopped")
    }

    /// Ends it with SIGTERM. What it attached stays, closed, until the verb `down`.
    @discardableResult
    package func stop() -> ChildProcess.Ending? { child.terminate() }
}
