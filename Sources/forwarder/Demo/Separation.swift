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
    /// The download ended well.
    let isWhole: Bool

    var sentence: String {
        let told = leaked.map { "\($0) packets" } ?? "more packets than could be counted"
        return "no VPN for \(decimalText(outage, places: 1)) s: \(told) leaked, "
            + "and the download \(isWhole ? "went on to its end" : "did NOT end well")"
    }

    var isRight: Bool { controlSeen == controlExpected && leaked == 0 && isWhole }
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

        let download = try Download(bytes, in: lab)
        usleep(300_000)
        let lost = ContinuousClock.now
        lab.cutVPNTunnel()
        usleep(1_000_000)
        try lab.digVPNTunnel()
        let outage = ContinuousClock.now - lost
        isWhole = download.isWhole()
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
        self.outage = outage / .seconds(1)
    }
}

/// A transfer to the client that goes on beside whoever began it.
private final class Download: Sendable {
    private let verdict = Mutex(false)
    private let thread: Mutex<Thread?>

    init(_ bytes: Int, in lab: WireGuardLab) throws(LabFailure) {
        thread = Mutex(nil)
        let (client, internet, address) = (lab.client, lab.internet, lab.internetAddress.v4)
        do throws(KernelError) {
            let begun = try Thread(named: "download") { [weak self] in
                let done = try? Transfer(.download, bytes: bytes, client: client, server: internet, at: address)
                self?.verdict.withLock { $0 = done?.isIntact == true && done?.bytes == bytes }
            }
            thread.withLock { $0 = begun }
        } catch {
            throw LabFailure(couldNot: "begin a download", because: "\(error)")
        }
    }

    /// Waits for its end, and tells whether all came as it was sent.
    func isWhole() -> Bool {
        thread.withLock { $0.take() }?.join()
        return verdict.withLock { $0 }
    }
}
