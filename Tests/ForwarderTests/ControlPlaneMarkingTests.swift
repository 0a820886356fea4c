import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// A node beside a tailscaled, whose control plane it marks at its cgroup, or leaves to tailscaled's own mark.
@Suite(.labCanBeBuilt) struct ControlPlaneMarkingTests {
    private let lab: PlainLab
    private let watch: MarkWatch
    private let derp = TailscaledProcess.Deed.derp("203.0.113.10")

    init() throws {
        lab = try PlainLab()
        try lab.node.ip("route del default dev tun0\nroute del ::/0 dev tun0")
        try lab.layUplink("eth0", 1, metric: 100)
        watch = try MarkWatch(on: lab.node, interface: "eth0")
    }

    private func start() throws -> ForwarderProcess { try ForwarderProcess(Binary.path.path, on: lab) }

    private func marks(of tailscaled: TailscaledProcess) throws -> Set<UInt32> {
        try tailscaled.forget()
        _ = try watch.take()
        try tailscaled.perform(derp)
        return Set(try watch.take().filter { $0.port == 443 }.map(\.mark))
    }

    /// Something that a node meets, and has nothing to do with.
    private func giveNews() throws { try lab.node.ip("link add news type veth peer name others\nlink del news") }

    private func marking(_ forwarder: ForwarderProcess) throws -> String? {
        let told = try forwarder.ask(["status", "--json"])
        let object = try JSONSerialization.jsonObject(with: Data(told.utf8)) as? [String: Any]
        return object?["control_plane_marking"] as? String
    }

    /// Whether the step of the plan holds; nil where there is none.
    private func plan(_ tailscaled: TailscaledProcess) throws -> Bool? {
        let told = try lab.node.run([Binary.path.path, "run", "--dry-run", "--json"])
        let steps = try PlanReport(json: Data(told.utf8)).steps
        return steps.first { $0.step.hasPrefix("eBPF programs at cgroup \(tailscaled.cgroup),") }?.holds
    }

    private func finding() throws -> DoctorReport.Finding? { try lab.node.doctor(capabilities: nil)["cgroup"] }

    @Test("what tailscaled connects is marked while a node runs, and says so; after kill -9 it bears its own mark")
    func lifetime() throws {
        let tailscaled = try TailscaledProcess(on: lab.node)
        #expect(try marks(of: tailscaled) == [0x80000], "the control: nobody marks")
        #expect(try plan(tailscaled) == false)

        let forwarder = try start()
        #expect(try marks(of: tailscaled) == [0x0108_0000])
        #expect(try marking(forwarder) == "ebpf")
        #expect(try plan(tailscaled) == true)
        let found = try finding()
        #expect(found?.severity == .ok && found?.evidence.contains(tailscaled.cgroup) == true, "\(found as Any)")
        #expect(forwarder.child.standardError.contains("control plane is marked at its cgroup"))

        forwarder.child.signal(SIGKILL)
        _ = forwarder.child.wait(upTo: .seconds(5))
        try eventually { try marks(of: tailscaled) == [0x80000] }
    }

    @Test("a tailscaled that is started again, in a cgroup made anew, is marked again")
    func startedAgain() throws {
        var tailscaled: TailscaledProcess? = try TailscaledProcess(on: lab.node)
        let forwarder = try start()
        #expect(try marking(forwarder) == "ebpf")
        let cgroup = try #require(tailscaled?.cgroup)
        tailscaled = nil
        #expect(try marking(forwarder) == "tailscaled", "without a look")
        let new = try TailscaledProcess(on: lab.node, cgroup: cgroup)
        try lab.node.ip("link del tailscale0")
        try lab.makeTailnetEdge()
        try eventually { try marking(forwarder) == "ebpf" }
        #expect(try marks(of: new) == [0x0108_0000])
    }

    @Test("a cgroup that holds somebody else is not touched, until it holds nobody else")
    func stranger() throws {
        let tailscaled = try TailscaledProcess(on: lab.node)
        let gluetun = try lab.node.start(
            [
                "sh", "-c",
                "mkdir \(tailscaled.cgroup)/below; echo $$ >\(tailscaled.cgroup)/below/cgroup.procs; sleep 60",
            ]
        )
        try eventually {
            let below = "\(tailscaled.cgroup)/below"
            return try lab.node.run(["sh", "-c", "[ ! -e \(below) ] || cat \(below)/cgroup.procs"]).count > 1
        }
        let forwarder = try start()
        #expect(try marking(forwarder) == "tailscaled")
        #expect(try marks(of: tailscaled) == [0x80000])
        let found = try finding()
        #expect(found?.severity == .note)
        #expect(found?.evidence.contains("also holds process") == true, "\(found as Any)")
        #expect(found?.remedy == "give tailscaled a container or a service of its own")

        gluetun.terminate()
        try eventually { (try? lab.node.run(["rmdir", "\(tailscaled.cgroup)/below"])) != nil }
        try giveNews()
        try eventually { try marking(forwarder) == "ebpf" }
        #expect(try marks(of: tailscaled) == [0x0108_0000])
    }

    @Test("a tailscaled of another network is not ours, and none is a note")
    func elsewhere() throws {
        let other = try TailscaledProcess(on: lab.internet)
        // Only a host with the hierarchy mounted gets as far as to look for the process.
        try lab.node.run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"])
        let forwarder = try start()
        #expect(try marking(forwarder) == "tailscaled")
        #expect(try finding()?.evidence.contains("no process tailscaled of this network") == true)
        withExtendedLifetime(other) {}
    }

    @Test("a second node's programs, a reload's, take the place of the first's")
    func reload() throws {
        let tailscaled = try TailscaledProcess(on: lab.node)
        try lab.node.run(["sh", "-c", "echo 'io: poll' >/run/forwarder.yaml"])
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, ["--config", "/run/forwarder.yaml"])
        try lab.node.run(["sh", "-c", "echo 'flows: 1024' >/run/forwarder.yaml"])
        forwarder.child.signal(SIGHUP)
        try eventually {
            try forwarder.ask(["status", "--json"]).contains(#""capacity":1024"#) && marking(forwarder) == "ebpf"
        }
        #expect(try marks(of: tailscaled) == [0x0108_0000])
        // The new programs ask for the new session's edges: those of the old one find none.
        try tailscaled.perform(.update("203.0.113.10"))
        #expect(try watch.take().contains { $0.mark == 0x0100_0000 })
        let links = try lab.node.run(["bpftool", "cgroup", "show", tailscaled.cgroup])
        #expect(links.components(separatedBy: "control_plane_").count == 4, "\(links)")
    }

    @Test("resolv.conf is rewritten in place, and it is not the machine's")
    func resolvConf() throws {
        let tailscaled = try TailscaledProcess(on: lab.node)
        let machines = try String(contentsOfFile: "/etc/resolv.conf", encoding: .utf8)
        defer { #expect((try? String(contentsOfFile: "/etc/resolv.conf", encoding: .utf8)) == machines) }
        #expect(try lab.node.run(["cat", "/etc/resolv.conf"]) != machines)
        try tailscaled.perform(.rewriteResolvConf)
        #expect(try lab.node.run(["cat", "/etc/resolv.conf"]).contains("nameserver 100.100.100.100"))
    }
}
