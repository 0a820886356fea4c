internal import Glibc
package import LinuxSystem

/// A forwarder that runs on a lab's node.
package final class ForwarderProcess: Sendable {
    private let executable: String
    private let node: LabHost
    package let child: ChildProcess

    /// Starts it and waits until it forwards.
    ///
    /// - Parameters:
    ///   - executable: the path of the program.
    ///   - arguments: flags of `forwarder run`.
    ///   - capabilities: all it gets; by default the two it needs.
    package init(
        _ executable: String, on lab: any Lab, _ arguments: [String] = [],
        capabilities: Capabilities = [.netAdmin, .bpf]
    ) throws(LabFailure) {
        self.executable = executable
        node = lab.node
        child = try lab.node.start([executable, "run"] + arguments, capabilities: capabilities)
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(10)
        while !child.standardError.contains("forwarding") {
            guard clock.now < deadline, child.wait(upTo: .milliseconds(5)) == nil else {
                throw LabFailure(couldNot: "start forwarder on \(node.name)", because: child.standardError)
            }
        }
    }

    /// The answer of a verb that is run beside it.
    package func ask(_ arguments: [String]) throws(LabFailure) -> String { try node.run([executable] + arguments) }

    /// Ends it with SIGTERM.
    @discardableResult
    package func stop() -> ChildProcess.Ending? { child.terminate() }
}
