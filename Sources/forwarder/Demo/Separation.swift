import Glibc
import Lab
import LinuxSystem
import Synchronization

/// What the line at home saw while the VPN died in the middle of a download, and with which address Tailscale's servers saw the
/// node.
struct Separation {
    let controlExpected: String
    /// Empty where it was not seen; lists all where there are several.
    let controlSeen: String
    /// Packets on the uplink that are neither the VPN's tunnel, nor the tailnet's, nor the control plane. Nil where the
    /// observer could not keep up.
    let leaked: Int?
    /// How long there was no VPN.
    let outage: Double
    /// It fell into the download, and not behind it.
    let isInterrupted: Bool
    /// The download ended well.
    let isWhole: Bool

    var sentence: String {
        let told = leaked.map { "\($0) packets" } ?? "more packets than could be counted"
        let end = !isInterrupted ? "was over BEFORE that" : isWhole ? "went on to its end" : "did NOT end well"
        return "no VPN for \(decimalText(outage, places: 1)) s: \(told) leaked, and the download \(end)"
    }

    var isRight: Bool { controlSeen == controlExpected && leaked == 0 && isInterrupted && isWhole }
}

extension Separation {
    private static let controlPorts: Set<UInt16> = [80, 443]

    /// Downloads, takes the VPN's interface away for a second, and gives it back.
    init(losingTheVPN lab: WireGuardLab, bytes: Int) throws(LabFailure) {
        let home = lab.homeAddress.v4
        let server = lab.internetAddress.v4
        let uplink = try Observer(on: lab.isp, interface: "node0")
        let far = try Observer(on: lab.internet, interface: "eth0")
        let forwarder = try ForwarderProcess(on: lab)
        let tailscaled = try TailscaledProcess(on: lab.node)
        try tailscaled.perform(.control(server))

        let loss = try Loss(of: lab)
        let download = try Transfer(.download, bytes: bytes, client: lab.client, server: lab.internet, at: server)
        isInterrupted = loss.hasBegun
        outage = try loss.end()
        isWhole = download.isIntact && download.bytes == bytes
        forwarder.stop()
        withExtendedLifetime(tailscaled) {}

        controlExpected = home
        let meetings = far.stop().keys.filter {
            $0.destination == server && Self.controlPorts.contains($0.destinationPort)
        }
        controlSeen = Set(meetings.map(\.source)).sorted().joined(separator: ", ")
        let seen = uplink.stop()
        let strangers = Set(
            seen.strangers(besides: [(home, lab.seenAddress.v4), (home, lab.clientUnderlay)]).filter {
                let ports = Self.controlPorts
                let isControl =
                    $0.source == home && $0.destination == server && ports.contains($0.destinationPort)
                    || $0.source == server && $0.destination == home && ports.contains($0.sourcePort)
                return !isControl
            })
        leaked = uplink.missed > 0 ? nil : seen.packets { strangers.contains($0) }
    }
}

/// Takes the VPN's interface away for a second, a moment after it is made.
private final class Loss: Sendable {
    private let outage = Mutex(Result<Double, LabFailure>.success(0))
    private let isOver = Mutex(false)
    private let begun = Mutex(false)

    var hasBegun: Bool { begun.withLock { $0 } }

    init(of lab: WireGuardLab) throws(LabFailure) {
        do throws(KernelError) {
            _ = try Thread(named: "loss") { [self] in
                usleep(300_000)
                begun.withLock { $0 = true }
                let lost = ContinuousClock.now
                lab.cutVPNTunnel()
                usleep(1_000_000)
                let ending = Result { () throws(LabFailure) in
                    try lab.digVPNTunnel()
                    // A server keeps to a session that is gone until somebody sends from here, as anybody's other flow would.
                    _ = try lab.client.ping(lab.internetAddress.v4, count: 3)
                    return (ContinuousClock.now - lost) / .seconds(1)
                }
                outage.withLock { $0 = ending }
                isOver.withLock { $0 = true }
            }
        } catch {
            throw LabFailure(couldNot: "begin an outage", because: "\(error)")
        }
    }

    /// Seconds without the VPN.
    func end() throws(LabFailure) -> Double {
        while !isOver.withLock({ $0 }) { usleep(10_000) }
        return try outage.withLock { $0 }.get()
    }
}
