import FoundationEssentials
import LinuxNetwork
import LinuxSystem

/// What probes look at: the settings, and the host as it is now.
package struct Surroundings: ~Copyable {
    /// Whether a node is there already.
    enum Presence: Sendable {
        case running(StatusReport)
        /// One listens on the control socket and does not answer us.
        case silent(Refusal)
        /// Nobody listens; nil where it could not be asked what is left.
        case nobody(LeftBehind?)
    }

    let settings: NodeSettings
    let netlink: Netlink
    let edges: Edges
    let presence: Presence
    /// Of this process.
    let capabilities: Capabilities

    package init(_ settings: NodeSettings) throws(Refusal) {
        let netlink = try refusing(couldNot: "look at the host") { () throws(KernelError) in try Netlink() }
        let facts: (Edges, Capabilities)
        do throws(KernelError) {
            facts = (try Edges(settings, Routing(netlink), netlink), try Capabilities.effective())
        } catch {
            throw Refusal(couldNot: "look at the host", error)
        }
        (edges, capabilities) = facts
        presence = Self.presence(settings)
        self.settings = settings
        self.netlink = netlink
    }

    private static func presence(_ settings: NodeSettings) -> Presence {
        guard ControlClient.isAnyoneThere(at: settings.controlSocket) else { return .nobody(try? LeftBehind.find()) }
        do throws(Refusal) {
            return .running(try ControlClient.ask(.status, at: settings.controlSocket))
        } catch {
            // Who may not even look does not know whether anybody is there; a node's port shows.
            return error.exitCode == .notPermitted ? .nobody(try? LeftBehind.find()) : .silent(error)
        }
    }

    /// The status of a node that runs and answers.
    var status: StatusReport? { if case .running(let status) = presence { status } else { nil } }

    /// Whether a node runs here, be it one that does not answer us.
    var isNodeThere: Bool {
        switch presence {
        case .running, .silent, .nobody(.port): true
        case .nobody: false
        }
    }

    /// What forwarding needs and this process does not have.
    var missingCapabilities: Capabilities { Capabilities([.netAdmin, .bpf]).subtracting(capabilities) }
}

/// The contents of a file of the kernel's, without the end of its last line; nil when it is not there or not for us.
func kernelText(_ path: String) -> String? {
    guard var text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
    while text.last?.isNewline == true { text.removeLast() }
    return text
}
