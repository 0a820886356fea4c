import Glibc
import Lab
import LinuxSystem
import TestSupport
import Testing

/// What can go wrong at the start: one message that says what, why and what to do next, and nothing left on the host.
@Suite(.serialized, .labCanBeBuilt) struct BadDayTests {
    /// Runs the program on a lab's node until it ends by itself.
    private func refused(
        on lab: any Lab, _ arguments: [String] = [], before: [String] = [],
        capabilities: Capabilities = [.netAdmin, .bpf]
    ) throws -> (code: ChildProcess.Ending?, message: String) {
        let child = try lab.node.start(
            before + [Binary.path.path, "run", "--wait", "0"] + arguments, capabilities: capabilities)
        let ending = child.wait(upTo: .seconds(20))
        return (ending, child.standardError)
    }

    @Test("each missing capability is named, with the line that adds it")
    func capabilities() throws {
        let lab = try PlainLab()
        for (given, missing) in [
            (Capabilities.netAdmin, "BPF"), (.bpf, "NET_ADMIN"), ([], "NET_ADMIN, BPF"),
        ] as [(Capabilities, String)] {
            let (code, message) = try refused(on: lab, capabilities: given)
            #expect(code == .exited(77))
            #expect(message.contains("cap_add: [\(missing)]"), "\(message)")
            try expectUntouched(lab, "with \(given)")
        }
    }

    @Test("without /dev/net/tun the message says which device to add")
    func noDevice() throws {
        let lab = try PlainLab()
        try lab.node.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/net"])
        let (code, message) = try refused(on: lab)
        #expect(code == .exited(69))
        #expect(message.contains("devices: [/dev/net/tun]"), "\(message)")
        try expectUntouched(lab, "without a device")
    }

    @Test("a refused bpf(2) and a refused io_uring are told apart, and nothing stays")
    func refusedCalls() throws {
        let lab = try PlainLab()
        let bpf = try refused(on: lab, before: strace("bpf:error=EPERM"), capabilities: traced)
        #expect(bpf.code == .exited(77))
        #expect(bpf.message.contains("eBPF") && bpf.message.contains("cap_add: [BPF, NET_ADMIN]"), "\(bpf.message)")
        try expectUntouched(lab, "bpf refused")

        let uring = try refused(
            on: lab, ["--io", "uring"], before: strace("io_uring_setup:error=EPERM"), capabilities: traced)
        #expect(uring.code == .exited(77))
        #expect(uring.message.contains("FORWARDER_IO=auto"), "\(uring.message)")
        try expectUntouched(lab, "io_uring refused")

        let memory = try refused(
            on: lab, ["--io", "uring"], before: strace("io_uring_setup:error=ENOMEM"), capabilities: traced)
        #expect(memory.code == .exited(69))
        #expect(memory.message.contains("memlock"), "\(memory.message)")
        try expectUntouched(lab, "no memory for io_uring")
    }

    @Test("where io_uring is refused, poll carries the packets, and status says why")
    func fallBack() throws {
        let lab = try PlainLab()
        let forwarder = try ForwarderProcess(
            Binary.path.path, on: lab, behind: strace("io_uring_setup:error=EPERM"), capabilities: traced)
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        let status = try forwarder.ask(["status", "--json"])
        #expect(status.contains(#""io":"poll""#) && status.contains("io_uring refused"), "\(status)")
    }

    @Test("a system call that fails half way leaves nothing behind")
    func halfWay() throws {
        let lab = try PlainLab()
        // Every change in turn is refused, and of those that only look every fifth, for time: `make soak` has all.
        let requests = try StartRequests(on: lab)
        var refusals = 0
        for number in 1...requests.count where isSoak || number % 5 == 0 || requests.changes.contains(number) {
            let child = try lab.node.start(
                strace("sendmsg:error=ENOBUFS:when=\(number)") + [Binary.path.path, "run", "--wait", "0"],
                capabilities: traced)
            child.waitForForwarding()
            let (ending, message) = (child.terminate(), child.standardError)
            guard message.contains("because") else {
                // One behind the start's last, or one that only tells.
                #expect(message.contains("msg=forwarding "), "request \(number): \(message)")
                _ = try lab.node.run([Binary.path.path, "down"])
                continue
            }
            refusals += 1
            #expect(ending == .exited(69), "request \(number): \(message)")
            try expectUntouched(lab, "request \(number): \(message)")
        }
        print("\(requests.count) requests, \(requests.changes.count) changes, \(refusals) refusals")
        #expect(refusals > 20 && requests.changes.count > 15)
    }

    @Test("what the kernel refuses after the start closes, is told, tried again, and takes nothing back")
    func refusedLater() throws {
        let lab = try PlainLab()
        let forwarder = try ForwarderProcess(
            Binary.path.path, on: lab, behind: strace("sendmsg:error=ENOBUFS:when=300..700"), capabilities: traced)
        for _ in 0..<200 where !forwarder.child.standardError.contains("the kernel, which refuses") {
            try lab.node.ip("link set tun0 mtu 1400\nlink set tun0 mtu 1420")
        }
        #expect(forwarder.child.standardError.contains("the kernel, which refuses"))
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0)
        forwarder.child.terminate()
        #expect(try lab.node.run(["ip", "rule"]).contains("iif tailscale0 unreachable"))
        #expect(try lab.node.run(["tc", "filter", "show", "dev", "tailscale0", "ingress"]).contains("forwarder:"))
    }

    @Test("a start that fails does not open what a dead node keeps closed")
    func failsAfterADeadNode() throws {
        let lab = try PlainLab()
        try lab.enableKernelRouting()
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3, "the kernel would forward")
        let dead = try ForwarderProcess(Binary.path.path, on: lab)
        dead.child.signal(SIGKILL)
        _ = dead.child.wait(upTo: .seconds(5))
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0)
        let (code, _) = try refused(
            on: lab, ["--io", "uring"], before: strace("io_uring_setup:error=EPERM"), capabilities: traced)
        #expect(code == .exited(77))
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0, "still closed")
        #expect(try lab.client.ping(lab.nodeAddress.v4) == 3, "the node itself answers")
    }

    @Test("a port's name that somebody took is told, and theirs stays")
    func nameTaken() throws {
        let lab = try PlainLab()
        try lab.node.ip("tuntap add fwd-out mode tun")
        let (code, message) = try refused(on: lab)
        #expect(code == .exited(69))
        #expect(message.contains("ip link delete fwd-out"), "\(message)")
        #expect(try lab.node.run(["ip", "link"]).contains("fwd-out"))
        #expect(!(try lab.node.run(["tc", "qdisc"]).contains("clsact")))
    }

    @Test("a read-only /proc/sys is all the same: run, forwarding and down write nothing there")
    func readOnlySysctls() throws {
        let lab = try PlainLab()
        try lab.enableKernelRouting()
        try lab.node.run(["sh", "-c", "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"])
        let write = try lab.node.start(["sysctl", "-w", "net.ipv4.ip_forward=1"])
        #expect(write.wait(upTo: .seconds(5))?.isSuccess == false, "the control: nobody writes there")
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        #expect(try lab.passes())
        #expect(try forwarder.status().forwarded.egress.packets >= 2, "by us")
        #expect(try forwarder.ask(["down"]).contains("removed forwarder:tailnet_ingress"))
        try expectUntouched(lab, "after down")
        #expect(try lab.passes(), "the kernel routes again")
    }

    @Test("a second instance is refused, whatever socket it uses, and the first goes on")
    func secondInstance() throws {
        let lab = try PlainLab()
        let first = try ForwarderProcess(Binary.path.path, on: lab)
        for arguments in [[], ["--control-socket", "/run/other.sock"]] {
            let (code, message) = try refused(on: lab, arguments)
            #expect(code == .exited(69))
            #expect(message.contains("another"), "\(message)")
            #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        }
        #expect(first.stop() == .exited(0))
    }

    @Test("with few open files the message says how to allow more, and what suffices suffices for answers too")
    func fewOpenFiles() throws {
        let lab = try PlainLab()
        for limit in [6, 8, 13, 18, 23, 95] {
            let (code, message) = try refused(on: lab, before: ["prlimit", "--nofile=\(limit)"])
            #expect(code == .exited(69), "\(limit): \(message)")
            #expect(message.contains("ulimit -n") && message.contains("ulimits: {nofile"), "\(limit): \(message)")
            try expectUntouched(lab, "\(limit) open files")
        }
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, behind: ["prlimit", "--nofile=96"])
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        let status = try forwarder.ask(["status", "--json"])
        #expect(status.contains(#""io":"uring""#), "\(status)")
    }

    @Test("an edge that is a loopback interface, or the other edge by another name, is refused without waiting")
    func unfitEdges() throws {
        let lab = try PlainLab()
        try lab.node.ip("link property add dev tun0 altname proton")
        for (arguments, reason) in [
            (["--tailnet", "lo", "--vpn", "wg7"], "loopback"), (["--vpn", "lo"], "loopback"),
            (["--tailnet", "tun0", "--vpn", "proton"], "another name of tun0"),
        ] {
            let (code, message) = try refused(on: lab, arguments)
            #expect(code == .exited(64))
            #expect(message.contains(reason), "\(message)")
            try expectUntouched(lab, "\(arguments)")
        }
    }

    @Test("an edge that is not there is 69 with --wait 0")
    func missingEdge() throws {
        let lab = try PlainLab()
        let (code, message) = try refused(on: lab, ["--vpn", "wg7"])
        #expect(code == .exited(69))
        #expect(message.contains("wg7"), "\(message)")
        try expectUntouched(lab, "no edge")
    }

    /// What strace needs to trace a child that has no more than we give it.
    private var traced: Capabilities { [.netAdmin, .bpf, .sysPtrace] }

    private func strace(_ fault: String) -> [String] {
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=bpf,io_uring_setup,sendmsg", "-e", "inject=\(fault)"]
    }
}

/// Neither a port, a program nor a rule is on the node.
func expectUntouched(_ lab: any Lab, _ comment: Comment) throws {
    // After an io_uring the kernel lets go of a port a moment later.
    try eventually(within: .seconds(1)) { try !lab.node.run(["ip", "link"]).contains("fwd-") }
    #expect(!(try lab.node.run(["tc", "qdisc"]).contains("clsact")), comment)
    let rules = try lab.node.run(["ip", "rule"]) + lab.node.run(["ip", "-6", "rule"])
    #expect(!rules.contains("tailscale0"), comment)
}
