import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// Whether a node may be relied on, and who notices where it may not: the verb, the watchdog, systemd.
@Suite(.serialized, .labCanBeBuilt) struct HealthTests {
    private let lab: WireGuardLab

    init() throws { lab = try WireGuardLab() }

    private func start(_ arguments: [String] = [], behind wrapper: [String] = []) throws -> ForwarderProcess {
        try ForwarderProcess(
            Binary.path.path, on: lab, ["--dns", "off", "--uplink", "eth0"] + arguments, behind: wrapper)
    }

    /// What the verb says, and how it ends.
    private func health(_ arguments: String...) throws -> (code: CInt, out: String, err: String) {
        let child = try lab.node.start(ForwarderProcess.command(Binary.path.path) + ["health"] + arguments)
        guard case .exited(let code)? = child.wait(upTo: .seconds(10)) else { throw CancellationError() }
        return (code, child.standardOutput, child.standardError)
    }

    private func report() throws -> HealthReport {
        try HealthReport(json: Data(try health("--json").out.utf8))
    }

    @Test("a crash leaves nothing of anybody's packets in the log, and ends the node at once")
    func crash() throws {
        let node = try start()
        node.child.signal(SIGSEGV)
        #expect(node.child.wait(upTo: .seconds(10)) == .killed(signal: SIGSEGV))
        #expect(!node.child.standardError.contains("rbp"), "\(node.child.standardError)")
    }

    @Test("a node that is started without stdin, stdout and stderr lives as any other")
    func withoutDescriptors() throws {
        let node = try ForwarderProcess(
            starting: Binary.path.path, on: lab, ["--dns", "off", "--uplink", "eth0"],
            behind: ["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"])
        try eventually { try health("-q").code == 0 }
        let descriptors = "for n in 0 1 2; do readlink /proc/\(node.child.processIdentifier)/fd/$n; done"
        #expect(
            try lab.node.run(["sh", "-c", descriptors]) == "/dev/null\n/dev/null\n/dev/null\n",
            "the node's own are behind")
        #expect(node.stop() == .exited(0))
    }

    // MARK: The verb

    @Test("ready, a node says so; with -q it says nothing; nobody running is 69")
    func ready() throws {
        #expect(try health("-q").code == 69)
        let node = try start()
        #expect(try health("-q") == (0, "", ""))
        #expect(try health("--alive", "--quiet") == (0, "", ""))
        let report = try report()
        #expect(report.alive && report.ready && report.reasons.isEmpty && report.checks.allSatisfy(\.ok), "\(report)")
        #expect(try health().out.hasPrefix("state       ready\nloop        ok\n"))
        #expect(try health("-q", "--json").code == 64)
        node.stop()
        let after = try health("-q")
        #expect(after.code == 69 && after.out.isEmpty)
    }

    @Test("a node whose control socket was taken away can be asked again")
    func controlSocketTaken() throws {
        let node = try start()
        try lab.node.run(["rm", "-r", "/run/forwarder"])
        #expect(try health("--alive").code == 69, "the control")
        node.child.signal(SIGHUP)
        try eventually { try health("-q").code == 0 }
        #expect(node.child.standardError.contains("the control socket had been taken away, and is made anew"))
        node.stop()
        #expect(try health("--alive").code == 69)
    }

    @Test("where few files may be open, who asks and says nothing keeps the node from nothing")
    func silentCrowd() throws {
        let node = try start(behind: ["prlimit", "--nofile=96"])
        let crowd = try lab.node.start([
            "python3", "-c",
            """
            import socket, time
            kept = []
            for _ in range(80):
                kept += [socket.create_connection(("127.0.0.1", 10586)), socket.socket(socket.AF_UNIX)]
                kept[-1].connect("/run/forwarder/control.sock")
            print("there", flush=True)
            time.sleep(20)
            """,
        ])
        try eventually { crowd.standardOutput.contains("there") }
        let before = try node.processorSeconds()
        let begin = ContinuousClock.now
        for _ in 0..<5 {
            let (code, _, err) = try health("-q")
            #expect(code == 0, "\(err)")
        }
        let took = begin.duration(to: .now) / .seconds(1)
        #expect(try node.processorSeconds() - before < took / 4 + 0.2)
        #expect(!node.child.standardError.contains("Too many open files"), "\(node.child.standardError)")
        crowd.terminate()
    }

    @Test("a node that waits for an edge is alive and not ready, tells why, and is ready when that is back")
    func waiting() throws {
        let node = try start()
        lab.cutVPNTunnel()
        try eventually { try health("-q").code == 1 }
        let report = try report()
        #expect(report.alive && Set(report.reasons.map(\.code)) == [.waiting, .vpnDown], "\(report)")
        let quiet = try health("-q")
        #expect(quiet.out.isEmpty && quiet.err.contains("the node waits for tun0"), "\(quiet)")
        #expect(try health("-q", "--alive") == (0, "", ""))
        try lab.digVPNTunnel()
        try eventually { try health("-q").code == 0 }
        withExtendedLifetime(node) {}
    }

    @Test("a guard that only observes, and what leaked by it, are no readiness")
    func observing() throws {
        let node = try start(["--guard", "observe"])
        #expect(try report().reasons.map(\.code) == [.guardObserves])
        _ = try lab.node.ping(lab.internetAddress.v4, count: 1, upTo: 1)
        #expect(try report().reasons.map(\.code) == [.guardObserves, .leaked])
        withExtendedLifetime(node) {}
    }

    @Test("what others take away of ours is told as long as it is gone, by which check it is, and no longer")
    func taken() throws {
        let node = try start()
        // Held when the first news wakes it: what is gone meanwhile stays gone.
        let held = try hold("forwarder", of: node, at: "delay_exit")
        try lab.node.run(["ip", "rule", "del", "preference", "92"])
        let open = try report()
        #expect(open.alive && open.reasons.map(\.code) == [.routingOpen], "\(open)")
        #expect(open.reasons.first?.because == "of ours this is gone: a rule of preference 92")
        try lab.node.run(["tc", "filter", "del", "dev", "eth0", "egress"])
        let bare = try report()
        #expect(bare.reasons.map(\.code) == [.guardMissing, .routingOpen], "\(bare)")
        #expect(bare.checks.filter { !$0.ok }.map(\.name) == [.guard, .separation])
        held.signal(SIGKILL)
        try eventually { try health("-q").code == 0 }
    }

    @Test("a node that does not answer is told within three seconds")
    func frozen() throws {
        let node = try start()
        // What a program takes to begin and to end here is the disk's.
        let start = try ContinuousClock().measure { try lab.node.run([Binary.path.path, "--version"]) }
        try node.freeze()
        let begin = ContinuousClock.now
        let told = try health("-q")
        #expect(told.code == 1 && told.out.isEmpty && told.err.contains("said nothing"), "\(told)")
        #expect(begin.duration(to: .now) < .seconds(3) + start * 2)
        #expect(try report().reasons.map(\.code) == [.unanswered])
        node.child.signal(SIGCONT)
        try eventually { try health("-q").code == 0 }
    }

    @Test("with a cap, a ledger that cannot be written is no readiness, and one that is written again is")
    func ledger() throws {
        try lab.node.run(["mkdir", "/run/state"])
        let node = try start(["--cap", "1GB", "--state-dir", "/run/state"])
        #expect(try report().ready)
        let tracer = try lab.node.start([
            "strace", "-f", "-o", "/dev/null", "-p", "\(try node.status().pid)", "-e", "trace=fdatasync", "-e",
            "inject=fdatasync:error=EIO",
        ])
        try eventually { tracer.standardError.contains("attached") }
        let grant = try lab.node.start(
            ForwarderProcess.command(Binary.path.path) + ["quota", "grant", "1MB", "--cap", "1GB"])
        #expect(grant.wait(upTo: .seconds(10)) == .exited(69))
        #expect(try report().reasons.map(\.code) == [.ledgerUnwritten])
        tracer.terminate()
        try eventually(within: .seconds(60)) { try report().ready }
    }

    /// What a host may be like that a sound node stands in.
    enum Surroundings: String, CaseIterable, Sendable {
        case withoutIPv6, keepingNetworks, twoUplinks, uplinkBounced, uplinkIsVPN, tunnelsMark
    }

    @Test("a sound node is ready, whatever the host is like", arguments: Surroundings.allCases)
    func sound(surroundings: Surroundings) throws {
        let lab = try PlainLab()
        var arguments = ["--dns", "off"]
        var tailscaled: TailscaledStandIn?
        if surroundings != .uplinkIsVPN {
            try lab.layUplink("eth0", 1, metric: 100)
            try lab.node.ip("route del default via 10.64.0.1\nroute del ::/0 via fd00:64::1")
        }
        switch surroundings {
        case .withoutIPv6: try lab.node.set("net/ipv6/conf/all/disable_ipv6", to: "1")
        case .keepingNetworks:
            arguments += ["--local", "192.168.7.0/24,fd00:7::/64"]
            tailscaled = try TailscaledStandIn(on: lab.node, .advertising(["192.168.8.0/24"]))
        case .twoUplinks: try lab.layUplink("eth1", 2, metric: 200)
        case .uplinkBounced: break
        case .uplinkIsVPN: arguments += ["--uplink", "tun0"]
        case .tunnelsMark: arguments += ["--vpn-fwmark", "200000"]
        }
        let node = try ForwarderProcess(Binary.path.path, on: lab, arguments)
        if surroundings == .uplinkBounced {
            try lab.node.ip("link set eth0 down\nlink set eth0 up")
            try lab.node.ip("route add default via 198.18.1.1 metric 100\naddr add fd00:1::2/64 dev eth0")
        }
        try eventually {
            let health = try lab.node.start(ForwarderProcess.command(Binary.path.path) + ["health"])
            let ending = health.wait(upTo: .seconds(5))
            if ending != .exited(0) { print(surroundings, health.standardOutput) }
            return ending == .exited(0)
        }
        withExtendedLifetime((node, tailscaled)) {}
    }

    // MARK: The watchdog

    /// Holds one thread of the node, as a fault of the kernel's would, before it next waits or after it has.
    private func hold(
        _ name: String, of node: ForwarderProcess, at moment: String = "delay_enter"
    ) throws -> ChildProcess {
        let pid = try node.status().pid
        let tasks = "/proc/\(pid)/task"
        let thread = try #require(
            FileManager.default.contentsOfDirectory(atPath: tasks).first {
                (try? String(contentsOfFile: "\(tasks)/\($0)/comm", encoding: .utf8)) == "\(name)\n"
            })
        let waits = "io_uring_enter,poll,ppoll,restart_syscall"
        let tracer = try lab.node.start([
            "strace", "-qq", "-o", "/dev/null", "-p", thread, "-e", "trace=\(waits)", "-e",
            "inject=\(waits):\(moment)=60s",
        ])
        try eventually {
            try !String(contentsOfFile: "\(tasks)/\(thread)/status", encoding: .utf8).contains("TracerPid:\t0\n")
        }
        return tracer
    }

    /// The node ends itself within ten seconds. Until the tracer lets go of its thread, the kernel tells nobody.
    private func expectEnd(
        of node: ForwarderProcess, stuckBy tracer: ChildProcess, since begin: ContinuousClock.Instant
    ) throws {
        try eventually(within: .seconds(12)) {
            node.child.standardError.contains("because the packet loop is stuck")
        }
        #expect(begin.duration(to: .now) < .seconds(10))
        tracer.signal(SIGKILL)
        #expect(node.child.wait(upTo: .seconds(5)) == .exited(70), "\(node.child.standardError)")
    }

    @Test(
        "a packet loop that is stuck ends the node within ten seconds, with a sentence and 70; exit traffic stays dropped",
        arguments: ["uring", "poll"])
    func stuck(io: String) throws {
        try lab.node.run(["mkdir", "/run/state"])
        let node = try start(["--io", io, "--cap", "1GB", "--state-dir", "/run/state"])
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1) == 1)
        let held = try hold("fwd-loop", of: node)
        usleep(1_200_000)
        let begin = ContinuousClock.now
        let told = try report()
        #expect(!told.alive && told.reasons.map(\.code) == [.loopSilent], "\(told)")
        try expectEnd(of: node, stuckBy: held, since: begin)
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0)
        #expect(try lab.node.run(["tc", "filter", "show", "dev", "tailscale0", "ingress"]).contains("tailnet_ingress"))
        #expect(try lab.quota().chargedBytes == 0, "the ledger was closed")
        let again = try start()
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1) == 1)
        withExtendedLifetime(again) {}
    }

    @Test("a loop that is stuck when the node is to stop ends it all the same")
    func stuckAtTheEnd() throws {
        let node = try start()
        let held = try hold("fwd-loop", of: node)
        usleep(1_200_000)
        node.child.signal(SIGTERM)
        try expectEnd(of: node, stuckBy: held, since: .now)
    }

    @Test("a node that was stopped for longer than its watchdog waits goes on")
    func suspended() throws {
        let node = try start()
        for _ in 0..<2 {
            try node.freeze()
            sleep(15)
            node.child.signal(SIGCONT)
            #expect(node.child.wait(upTo: .seconds(4)) == nil, "\(node.child.standardError)")
        }
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1) == 1)
        #expect(try health("-q").code == 0)
    }

    // MARK: systemd

    /// Listens as systemd does, and prints each notice on a line.
    private func listener(at place: String) throws -> ChildProcess {
        let child = try lab.node.start([
            "python3", "-uc",
            """
            import socket, sys
            place = sys.argv[1]
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            listener.bind("\\0" + place[1:] if place[0] == "@" else place)
            print("ready", flush=True)
            while True: print(repr(listener.recv(4096).decode()), flush=True)
            """, place,
        ])
        try eventually { child.standardOutput.hasPrefix("ready") }
        return child
    }

    @Test(
        "systemd is told: ready when the host is closed, though an edge is missing; what it waits for; reloading; stopping",
        arguments: ["/run/notify", "@forwarder-test"])
    func notices(place: String) throws {
        let systemd = try listener(at: place)
        func told() -> [String] { systemd.standardOutput.split(separator: "\n").dropFirst().map(String.init) }
        lab.cutVPNTunnel()
        let node = try ForwarderProcess(
            starting: Binary.path.path, on: lab, ["--dns", "off", "--uplink", "eth0"],
            behind: ["env", "NOTIFY_SOCKET=\(place)", "WATCHDOG_USEC=2000000"])
        try eventually { told().contains { $0.contains("READY=1") } }
        #expect(told().contains("'READY=1\\nSTATUS=waiting for tun0; exit traffic is dropped'"), "\(told())")
        try lab.digVPNTunnel()
        try eventually { told().contains("'STATUS=forwarding'") }
        node.child.signal(SIGHUP)
        try eventually { told().contains("'READY=1\\nSTATUS=forwarding'") }
        let order = told().filter { $0.contains("RELOADING") || $0.contains("READY") }
        #expect(order.count == 3 && order[1].contains(/RELOADING=1\\nMONOTONIC_USEC=[0-9]+/), "\(order)")
        let signs = told().count { $0 == "'WATCHDOG=1'" }
        sleep(4)
        let more = told().count { $0 == "'WATCHDOG=1'" } - signs
        #expect((3...6).contains(more), "at half of two seconds: \(more) in four")

        try node.freeze()
        let frozen = told().count
        sleep(3)
        #expect(told().count == frozen, "no sign of life from a node that follows nothing")
        node.child.signal(SIGCONT)
        try eventually { told().count > frozen }
        node.child.signal(SIGTERM)
        #expect(node.child.wait(upTo: .seconds(5)) == .exited(0))
        try eventually { told().last == "'STOPPING=1'" }
    }

    @Test("without signs of life from its loop, systemd gets none from the node")
    func noSigns() throws {
        let systemd = try listener(at: "/run/notify")
        let node = try start(behind: ["env", "NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=2000000"])
        try eventually { systemd.standardOutput.contains("WATCHDOG=1") }
        let held = try hold("fwd-loop", of: node)
        usleep(2_500_000)
        let before = systemd.standardOutput.components(separatedBy: "WATCHDOG=1").count
        try expectEnd(of: node, stuckBy: held, since: .now)
        #expect(systemd.standardOutput.components(separatedBy: "WATCHDOG=1").count == before)
        #expect(systemd.standardOutput.contains("STATUS=the packet loop is stuck"))
    }

    @Test(
        "a socket that nobody has, and one of a kind that is not known, hold nothing up",
        arguments: ["/run/nobody", "vsock:2:1"])
    func nobodyToTell(place: String) throws {
        let node = try start(behind: ["env", "NOTIFY_SOCKET=\(place)", "WATCHDOG_USEC=x"])
        #expect(try health("-q").code == 0)
        #expect(node.stop() == .exited(0))
    }
}
