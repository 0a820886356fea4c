package import LinuxNetwork
package import Logging
package import Steering

/// What a node was told, checked: each value is usable, and they fit each other.
package struct NodeSettings: Sendable, Equatable {
    package var tailnet = "tailscale0"
    package var vpn = "tun0"
    /// None: the interface of the default route, whichever it is by then.
    package var uplink: String?
    package var io = IOPreference.auto
    package var flows = 65_536
    package var bindingPorts = PortRange(first: 16_384, last: 32_767)
    package var local: [IPPrefix] = []
    package var tailscaledSocket = "/var/run/tailscale/tailscaled.sock"
    package var dns = DNSSettings()
    package var guarding = GuardMode.on
    /// None where nothing was said, which is not the same as that there are none.
    package var allow: [GuardRules.Service]?
    package var tunnel = TunnelSettings()
    package var cap = CapSettings()
    /// Where what must outlive us is written.
    package var stateDirectory = "/var/lib/forwarder"
    package var controlSocket = "/run/forwarder/control.sock"
    package var admin = AdminSettings()
    package var log = Logger.Level.info
    package var logFormat = LogFormat.logfmt

    /// The programs have room for 1,024 prefixes, the node's own addresses among them.
    static let localLimit = 1_000

    package init() {}

    /// Reads what was written.
    ///
    /// - Throws: a refusal that names the key, the value and a correct example.
    package init(_ spec: Spec) throws(Refusal) {
        self.init()
        for setting in Setting.catalogue {
            guard let written = spec[setting] else { continue }
            do {
                try setting.assign(written.text, &self)
            } catch {
                throw Refusal(
                    couldNot: "read the setting \(setting.key)",
                    because: "\"\(written.text)\" \(error.reason) (\(written.origin.place(of: setting)))",
                    remedy:
                        "write for example \(written.origin.spelling(of: setting, as: error.meant ?? setting.example))",
                    exitCode: .usage)
            }
        }
        // One interface may be vpn and uplink at once: an exit node without a VPN of its own.
        for (key, edge) in [("vpn", vpn), ("uplink", uplink)] where edge == tailnet {
            throw Refusal(
                couldNot: "use the settings tailnet and \(key) together",
                because: "both are \"\(tailnet)\", and what comes in there must leave elsewhere",
                remedy: "write for example --tailnet tailscale0 --\(key) \(key == "vpn" ? "tun0" : "eth0")",
                exitCode: .usage)
        }
        try cap.fit(beside: stateDirectory)
        try admin.fit()
    }
}

/// How packets are to be read and written; `auto` takes io_uring where the kernel grants it.
package enum IOPreference: String, CaseIterable, Sendable { case auto, uring, poll }

/// What the guard does with what must not leave by the uplink.
package enum GuardMode: String, CaseIterable, Codable, Sendable {
    /// Drops it.
    case on
    /// Lets it pass, and counts it as leaked.
    case observe
}

/// Ports from the first to the last, both included.
package struct PortRange: Hashable, Sendable, CustomStringConvertible {
    package let first: UInt16
    package let last: UInt16

    package init(first: UInt16, last: UInt16) {
        self.first = first
        self.last = last
    }

    package var description: String { "\(first)-\(last)" }
}
