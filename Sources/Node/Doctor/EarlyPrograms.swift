import LinuxNetwork
import LinuxSystem
import Steering
import SystemPackage

/// What others put where an interface's packets meet it before the filters of clsact, among which ours are.
struct EarlyPrograms {
    /// Whose packets the interface carries; the tunnels' leave by it only where the guard lets them.
    enum Packets { case clients, tunnels }

    let interface: String
    let packets: Packets
    let xdp: Link.XDPProgram?
    /// Nil where the kernel does not tell this process.
    let tcxIngress: [TCXProgram]?
    let tcxEgress: [TCXProgram]?

    var judgement: Finding {
        if packets == .tunnels, let tcxEgress, !tcxEgress.isEmpty {
            return .warning(
                "at \(interface)'s tcx egress packets meet what others attached (\(tcxEgress.count)) before the guard, "
                    + "which may let pass what that refuses",
                remedy: "if it is not meant for that: " + detaching(tcxEgress, "tcx_egress"))
        }
        if let xdp {
            return told(
                "an XDP program meets \(whose) at \(interface) before all else, and may keep them",
                remedy: "ip link set dev \(interface) \(xdp.mode.rawValue) off, "
                    + "or where a link holds it, which bpftool link list shows beside prog \(xdp.number): "
                    + "bpftool link detach id LINK")
        }
        guard let tcxIngress, let tcxEgress else {
            return .notAsked("the kernel does not tell this process what is at the tcx hooks of \(interface)")
        }
        if !tcxIngress.isEmpty {
            return told(
                "at \(interface)'s tcx ingress \(whose) meet what others attached (\(tcxIngress.count)) before ours, "
                    + "which may keep them",
                remedy: detaching(tcxIngress, "tcx_ingress"))
        }
        if !tcxEgress.isEmpty {
            return told(
                "at \(interface)'s tcx egress \(whose) meet what others attached (\(tcxEgress.count)), which may drop them",
                remedy: detaching(tcxEgress, "tcx_egress"))
        }
        return .ok("no XDP or tcx program is at \(interface)")
    }

    /// On the uplink such a program is usual, a firewall mostly.
    private func told(_ evidence: String, remedy: String) -> Finding {
        let remedy = "if it is not meant for that: " + remedy
        return packets == .clients ? .warning(evidence, remedy: remedy) : .note(evidence, remedy: remedy)
    }

    private var whose: String { packets == .clients ? "clients' packets" : "the tunnels' packets" }

    /// bpftool takes these hooks' names from Linux 6.12 on; a link it has always been able to detach.
    private func detaching(_ programs: [TCXProgram], _ hook: String) -> String {
        programs.map { $0.link.map { "bpftool link detach id \($0)" } ?? "bpftool net detach \(hook) dev \(interface)" }
            .joined(separator: "; ")
    }
}

extension EarlyPrograms {
    init(at link: Link, meeting packets: Packets) throws(KernelError) {
        func programs(_ direction: Filter.Direction) throws(KernelError) -> [TCXProgram]? {
            do throws(KernelError) { return try TCXProgram.all(on: link, direction) } catch {
                guard [.notPermitted, .permissionDenied].contains(error.errno) else { throw error }
                return nil
            }
        }
        self.init(
            interface: link.name, packets: packets, xdp: link.xdp, tcxIngress: try programs(.ingress),
            tcxEgress: try programs(.egress))
    }
}
