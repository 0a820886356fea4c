import DataPlane
import FoundationEssentials
import LinuxNetwork
import LinuxSystem
import SplitDNS
import Steering
import SystemPackage
import Testing

@testable import Node

/// What probes make of facts that a lab cannot provide.
struct ProbeJudgementTests {
    @Test func `no two probes share an id, and each is a word in snake case`() {
        #expect(Set(Probe.all.map(\.id)).count == Probe.all.count)
        for probe in Probe.all {
            #expect(probe.id.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" }, "\(probe.id)")
            #expect(probe.question.hasSuffix("?"))
        }
    }

    // MARK: The kernel

    @Test(arguments: [
        ("5.9.16", "error"), ("5.10.0-30-amd64", "note"), ("6.7.12", "note"), ("6.8.0", "ok"), ("6.18.44-x", "ok"),
        ("10.0", "ok"),
    ])
    func `a kernel before 5.10 is too old, and one before 6.8 has no io_uring for us`(text: String, severity: String)
        throws
    {
        let finding = Probe.judge(try #require(KernelRelease(text)))
        #expect(finding.severity.rawValue == severity)
        #expect((finding.remedy == nil) == (severity == "ok"))
    }

    @Test(arguments: ["", "6", "six.one", "6.x"])
    func `what is no release is not taken for one`(text: String) { #expect(KernelRelease(text) == nil) }

    @Test(
        arguments: [
            (65_536, KernelRelease(5, 10), IOPreference.auto, "warning"), (nil, KernelRelease(5, 10), .auto, "ok"),
            (65_536, KernelRelease(5, 11), .auto, "note"), (65_536, KernelRelease(6, 8), .auto, "note"),
            (65_536, KernelRelease(6, 8), .poll, "note"), (8 << 20, KernelRelease(6, 8), .auto, "note"),
            (nil, KernelRelease(6, 8), .auto, "ok"),
        ] as [(UInt64?, KernelRelease, IOPreference, String)])
    func `locked memory matters to the programs before Linux 5.11, to io_uring, and to the loop`(
        limit: UInt64?, release: KernelRelease, io: IOPreference, severity: String
    ) {
        let finding = Probe.judge(lockedMemory: limit, on: release, io)
        #expect(finding.severity.rawValue == severity)
        #expect(finding.remedy?.contains("memlock: -1") ?? (severity == "ok"))
    }

    @Test(
        arguments: [
            (Errno.notSupported, nil, false, "use Linux 6.8"), (.noMemory, nil, false, "memlock"),
            (.notPermitted, "2", true, "sysctl -w kernel.io_uring_disabled=0"),
            (.notPermitted, "1", false, "sysctl -w kernel.io_uring_disabled=0"),
            (.notPermitted, "0", true, "security_opt: [seccomp="), (.noFunction, nil, true, "security_opt: [seccomp="),
            (.noFunction, nil, false, "CONFIG_IO_URING"), (.notPermitted, "0", false, "security module"),
        ] as [(Errno, String?, Bool, String)])
    func `what keeps io_uring away is told apart`(errno: Errno, disabled: String?, isFiltered: Bool, remedy: String) {
        let obstacle = UringObstacle(
            KernelError("io_uring_setup", errno, "ring"), disabled: disabled, isFiltered: isFiltered)
        #expect(obstacle.remedy.contains(remedy), "\(obstacle.remedy)")
        #expect(Probe.judge(obstacle, .auto).severity == .note)
        let asked = Probe.judge(obstacle, .uring)
        #expect(asked.severity == .error)
        #expect(asked.remedy?.contains("FORWARDER_IO=auto") == true)
    }

    @Test func `each rung of offloads has its own severity`() {
        #expect(Probe.judge(Port.Offloads.all, of: "a port").severity == .ok)
        #expect(Probe.judge(Port.Offloads.noUSO, of: "a port").severity == .note)
        #expect(Probe.judge(Port.Offloads.none, of: "a port").severity == .warning)
    }

    @Test func `a clock before this program was, or that nothing keeps right, is told`() {
        let now = Date(timeIntervalSince1970: 1_790_000_000)
        #expect(Probe.judge(now, isSynchronized: true).severity == .ok)
        #expect(Probe.judge(now, isSynchronized: false).severity == .note)
        #expect(Probe.judge(Date(timeIntervalSince1970: 0), isSynchronized: true).severity == .warning)
    }

    // MARK: Mounts

    private static let mounts = """
        22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
        24 22 0:22 / /sys rw,nosuid shared:7 master:1 - sysfs sysfs rw
        30 24 0:27 / /sys/fs/bpf rw,nosuid - bpf bpf rw,mode=700
        """

    @Test func `of two mounts at one place the later covers the earlier`() {
        let mounts = Mount.all(inTable: Self.mounts)
        #expect(mounts.map(\.type) == ["ext4", "sysfs", "bpf"])
        #expect(Probe.judge(bpffs: mounts, isWritable: true, isCapped: true).severity == .ok)
        #expect(Probe.judge(bpffs: mounts, isWritable: false, isCapped: false).severity == .note)
        let covered = Mount.all(inTable: Self.mounts + "\n31 22 0:22 / /sys rw - sysfs sysfs rw")
        #expect(covered.map(\.path) == ["/", "/sys"])
        #expect(Probe.judge(bpffs: covered, isWritable: true, isCapped: false).severity == .note)
        #expect(Mount.all(inTable: "garbage\n1 2 3 4 5 6 7\n").isEmpty)
    }

    @Test(arguments: [
        ("/", "ext4"), ("/var/lib", "ext4"), ("/sys", "sysfs"), ("/system", "ext4"), ("/sys/fs", "sysfs"),
    ])
    func `a file is on the longest mount above it`(path: String, type: String) {
        #expect(Mount.holding(path, among: Mount.all(inTable: Self.mounts))?.type == type)
    }

    // MARK: The control plane

    @Test func `the control plane is known by our mark or by its own, and the finding says which, and why`() {
        let cgroup = TailscaledCgroup(path: "/sys/fs/cgroup/tailscaled", inode: 7, process: 42)
        let obstacle = TailscaledCgroup.Obstacle(evidence: "it is elsewhere", remedy: "bring it here")
        typealias Found = Result<TailscaledCgroup, TailscaledCgroup.Obstacle>
        func judge(_ found: Found, _ marking: StatusReport.ControlPlaneMarking?) -> Finding {
            Probe.judge(found, marking: marking)
        }
        for marking in [StatusReport.ControlPlaneMarking.ebpf, nil] {
            #expect(judge(.success(cgroup), marking).severity == .ok)
            #expect(judge(.success(cgroup), marking).evidence.contains(cgroup.path))
        }
        #expect(judge(.success(cgroup), .tailscaled).severity == .note)
        #expect(judge(.failure(obstacle), .ebpf).severity == .ok, "the node sees more than who asks")
        for marking in [StatusReport.ControlPlaneMarking.tailscaled, nil] {
            let finding = judge(.failure(obstacle), marking)
            #expect(finding.severity == .note && finding.remedy == obstacle.remedy)
            #expect(
                finding.evidence.hasPrefix("tailscaled's own mark 0x80000") && finding.evidence.hasSuffix("elsewhere"))
        }
    }

    // MARK: The admin endpoint

    @Test func `what a node complains of is told with what helps now, or with where to read what does`() {
        let taken = Refusal(
            couldNot: "tell", because: "it is taken", remedy: "name another port", exitCode: .unavailable)
        #expect(Probe.judge(complaint: "not told", taken) == .warning("not told", remedy: "name another port"))
        #expect(Probe.judge(complaint: "not told", nil).remedy?.contains("its log") == true)
    }

    @Test func `the guard lets pass only what is allowed, of TCP, and more than one uplink is named`() throws {
        var settings = NodeSettings()
        let everywhere = try #require(Endpoint("0.0.0.0:10586"))
        func judge(_ uplinks: String...) -> Finding {
            Probe.judge(everywhere, "well", askedBy: uplinks, settings, nil)
        }
        #expect(judge() == .ok("well"))
        settings.allow = [.init(.udp, 10_586)]
        let refused = judge("eth0", "eth1")
        #expect(refused.evidence.contains("0.0.0.0:10586 answers by eth0, eth1"), "\(refused)")
        #expect(refused.remedy?.hasPrefix("FORWARDER_ALLOW=udp/10586,tcp/10586, or") == true, "\(refused)")
        settings.allow?.append(.init(.tcp, 10_586))
        #expect(judge("eth0") == .ok("well"))
    }

    // MARK: Network

    @Test(
        arguments: [
            (1280, 1420, 1500, "ok", ""), (1280, 1440, 1500, "note", "ip link set wg0 mtu 1420"),
            (1280, 1441, 1500, "warning", "ip link set wg0 mtu 1420"),
            (1420, 1280, 1500, "note", "ip link set wg0 mtu 1420"),
            (1500, 1420, 1500, "note", "ip link set tailscale0 mtu 1420"), (1280, 9000, nil, "ok", ""),
            (1280, 1000, nil, "note", "ip link set wg0 mtu 1280"), (1280, 100, 50, "warning", "ip link set wg0 mtu 0"),
            (8, 8, 70, "note", "ip link set wg0 mtu 0"),
        ] as [(UInt32, UInt32, UInt32?, String, String)])
    func `packets must fit from ring to ring of the chain`(
        tailnet: UInt32, vpn: UInt32, uplink: UInt32?, severity: String, remedy: String
    ) {
        let finding = MTUChain(
            tailnet: .init("tailscale0", tailnet), vpn: .init("wg0", vpn), uplink: uplink.map { .init("eth0", $0) }
        ).judgement
        #expect(finding.severity.rawValue == severity, "\(finding)")
        #expect(finding.remedy?.contains(remedy) ?? remedy.isEmpty, "\(finding)")
    }

    @Test(arguments: [
        ("16384-32767", "32768-60999", "", "ok", ""),
        (
            "16384-40000", "32768-60999", "", "warning",
            "sysctl -w net.ipv4.ip_local_reserved_ports=32768-40000, or FORWARDER_BINDING_PORTS=16384-32767"
        ),
        (
            "16384-40000", "32768-60999", "8080", "warning",
            "ip_local_reserved_ports=8080,32768-40000, or FORWARDER_BINDING_PORTS=16384-32767"
        ),
        ("16384-40000", "32768-60999", "8080,32768-40000", "ok", ""),
        ("16384-40000", "32768-60999", "32768-35000,35002-40000", "warning", "32768-40000"),
        ("2000-3000", "1024-60999", "", "warning", "FORWARDER_BINDING_PORTS=61000-65535"),
        ("2000-3000", "1024-65535", "", "warning", "ip_local_reserved_ports=2000-3000"),
    ])
    func `ports that host and flows share are told, with what parts them`(
        ports: String, own: String, reserved: String, severity: String, remedy: String
    ) throws {
        let finding = Probe.judge(
            try bindingPorts(ports), own: try bindingPorts(own), reserved: reserved)
        #expect(finding.severity.rawValue == severity, "\(finding)")
        #expect(finding.remedy?.contains(remedy) ?? remedy.isEmpty, "\(finding)")
    }

    @Test func `of default routes the missing, the blind and the several are told`() {
        func route(_ interface: String, metric: UInt32 = 0, isComplete: Bool = true) -> DefaultRoute {
            DefaultRoute(family: .v4, interface: interface, metric: metric, isComplete: isComplete)
        }
        func judge(_ routes: DefaultRoute..., named: String? = nil) -> Finding.Severity {
            Probe.judge(routes, named: named, tailnet: "tailscale0", vpn: "tun0").severity
        }
        #expect(judge() == .warning)
        #expect(judge(route("eth0")) == .ok)
        #expect(judge(route("eth0"), named: "eth1") == .warning)
        #expect(judge(route("eth1"), route("eth0", metric: 9, isComplete: false), named: "eth1") == .warning)
        #expect(judge(route("tun0"), named: "eth1") == .note)
        #expect(judge(route("tun0"), route("eth1", metric: 9), named: "eth1") == .note)
        #expect(judge(route("eth0", isComplete: false)) == .note)
        #expect(judge(route("tailscale0")) == .warning)
        #expect(judge(route("eth0", metric: 100), route("wlan0", metric: 600)) == .note)

        var hops = [route("eth0", metric: 9), route("eth1", metric: 9)]
        for index in hops.indices { hops[index].isShared = true }
        func told(_ routes: [DefaultRoute], named: String? = nil) -> Finding {
            Probe.judge(routes, named: named, tailnet: "tailscale0", vpn: "tun0")
        }
        #expect(told(hops).remedy == "choose one: ip route replace default via GATEWAY dev eth0 metric 9")
        #expect(
            told([route("eth0", metric: 9)], named: "eth1").remedy?.hasSuffix("delete default dev eth0 metric 9")
                == true)
        var aside = route("wwan0")
        aside.table = 7
        func judge(_ aside: DefaultRoute, named: String?) -> Finding {
            Probe.judge([route("eth1")], elsewhere: [aside], named: named, tailnet: "tailscale0", vpn: "tun0")
        }
        #expect(judge(aside, named: "eth1").remedy?.hasSuffix("delete default dev wwan0 table 7") == true)
        #expect(judge(aside, named: nil).severity == .ok)
        #expect(judge(aside, named: "wwan0").evidence.contains("eth1 has a default route and no guard"))
        #expect(told(hops, named: "eth1").remedy?.hasSuffix("dev eth1 metric 9") == true)
        #expect(told(hops + [route("eth2", metric: 5)]).evidence.hasPrefix("of several the smallest metric decides"))
        #expect(told([hops[1], route("eth2", metric: 9)]).severity == .note)
    }

    @Test func `rules before ours that route clients are told, and those of Gluetun and Tailscale are known`() {
        let settings = NodeSettings()
        let local = Rule(.v4, preference: 0, .lookup(Route.local), origin: 2)
        let main = Rule(.v4, preference: 32_766, .lookup(Route.main), origin: 2)
        let closing = Rule.closing("tailscale0", .v4)
        func judge(_ rules: Rule..., isExpected: Bool = true) -> Finding {
            Probe.judge([local] + rules + [main], .v4, settings, isExpected: isExpected)
        }
        func foreign(_ preference: UInt32, _ change: (inout Rule) -> Void = { _ in }) -> Rule {
            var rule = Rule(.v4, preference: preference, .lookup(100), origin: 3)
            change(&rule)
            return rule
        }
        #expect(judge(closing).severity == .ok)
        #expect(judge().severity == .warning)
        #expect(judge().remedy?.contains("ip rule add iif tailscale0 preference 91 protocol 240 unreachable") == true)
        #expect(judge(isExpected: false).severity == .ok)

        let caught = judge(foreign(50), closing)
        #expect(caught.severity == .warning)
        #expect(caught.remedy?.contains("ip rule delete preference 50") == true)
        #expect(judge(foreign(91), closing).severity == .warning)
        #expect(judge(foreign(91), isExpected: false).severity == .warning)
        #expect(judge(foreign(92), isExpected: false).severity == .ok)
        #expect(judge(closing, foreign(91)).severity == .ok)
        #expect(judge(foreign(50) { $0.incoming = "eth0" }, closing).severity == .ok)
        #expect(judge(foreign(50) { $0.incoming = "tailscale0" }, closing).severity == .warning)
        #expect(judge(foreign(50) { $0.mark = .bypass }, closing).severity == .ok)
        #expect(
            judge(foreign(50) { ($0.mark, $0.isInverted) = (PacketMark(51_820), true) }, closing).severity == .warning)
        #expect(judge(foreign(50) { $0.source = IPPrefix("192.168.0.0/16") }, closing).severity == .ok)
        #expect(judge(foreign(50) { $0.source = IPPrefix("100.64.0.7") }, closing).severity == .warning)
        for action in [Rule.Action.goto(92), .goto(32_766)] {
            #expect(judge(foreign(50) { $0.action = action }, closing).severity == .warning)
        }
        for action in [Rule.Action.goto(91), .goto(51), .nothing] {
            #expect(judge(foreign(50) { $0.action = action }, closing).severity == .ok)
        }
        for action in [Rule.Action.unreachable, .blackhole, .prohibit] {
            #expect(judge(foreign(50) { $0.action = action }, closing).severity == .note)
            #expect(judge(closing, foreign(91) { $0.action = action }).severity == .ok)
            #expect(
                judge(foreign(50) { ($0.action, $0.incoming) = (action, "tailscale0") }, closing).severity == .ok,
                "it refuses what ours refuses")
        }

        let usual = judge(closing, foreign(98), foreign(101), foreign(5270))
        #expect(usual.severity == .ok)
        #expect(usual.evidence.contains("Gluetun's 98, 101 and Tailscale's 5270"), "\(usual.evidence)")
    }

    @Test func `what stands before all filters is told, graver on an edge than on the uplink`() {
        func judge(
            _ ingress: [TCXProgram]? = [], _ egress: [TCXProgram]? = [], xdp: Link.XDPProgram? = nil,
            of packets: EarlyPrograms.Packets = .clients
        ) -> Finding {
            EarlyPrograms(interface: "tun0", packets: packets, xdp: xdp, tcxIngress: ingress, tcxEgress: egress)
                .judgement
        }
        let held = TCXProgram(number: 5, link: 7)
        let free = TCXProgram(number: 6, link: nil)
        #expect(judge().severity == .ok)
        #expect(judge(nil, nil).evidence.hasPrefix("not asked: "))
        for mode in Link.XDPProgram.Mode.allCases {
            let found = judge(xdp: Link.XDPProgram(mode, number: 5))
            #expect(found.severity == .warning)
            #expect(found.remedy?.contains("ip link set dev tun0 \(mode.rawValue) off") == true)
        }
        #expect(judge([held]).severity == .warning)
        #expect(judge([], [held]).severity == .warning)
        #expect(judge([held], of: .tunnels).severity == .note)
        for xdp in [nil, Link.XDPProgram(.generic, number: 5)] {
            let told = judge([held], [free], xdp: xdp, of: .tunnels)
            #expect(told.severity == .warning && told.evidence.contains("let pass"), "\(told)")
            #expect(told.remedy?.hasSuffix(": bpftool net detach tcx_egress dev tun0") == true)
        }
        #expect(
            judge([held, free]).remedy?.hasSuffix(": bpftool link detach id 7; bpftool net detach tcx_ingress dev tun0")
                == true)
        #expect(judge([], [free]).remedy?.hasSuffix(": bpftool net detach tcx_egress dev tun0") == true)
    }

    @Test func `a filter at our priority, and one at an egress, are told`() {
        func filter(_ direction: Filter.Direction, _ priority: UInt16) -> Filter {
            Filter("other", direction, priority: priority, handle: 1)
        }
        let ours = Attachment.filter(.vpnIngress)
        func judge(hooks: String? = "clsact", _ ingress: [Filter], _ egress: [Filter] = []) -> Finding.Severity {
            Probe.judge("tun0", hooks: hooks, ingress: ingress, egress: egress).severity
        }
        #expect(judge(hooks: nil, []) == .ok)
        #expect(judge([ours]) == .ok)
        #expect(judge([ours, filter(.ingress, 1)]) == .ok)
        #expect(judge([filter(.ingress, 7)]) == .ok)
        #expect(judge([filter(.ingress, 1)]) == .error)
        #expect(judge([filter(.ingress, 1), ours]) == .error)
        #expect(judge([ours], [filter(.egress, 7)]) == .warning)
        #expect(judge(hooks: "ingress", [ours]) == .note)
    }

    @Test func `a filter that the kernel asks before the guard is told, and one after it is not`() {
        func filter(_ priority: UInt16) -> Filter { Filter("", .egress, priority: priority, handle: 10) }
        let ours = Attachment.filter(.guardEgress)
        func judge(_ egress: Filter...) -> Finding { Probe.judge("eth0", egress: egress) }
        #expect(judge().severity == .ok)
        #expect(judge(ours, filter(1), filter(7)).severity == .ok)
        #expect(judge(filter(7)).severity == .ok)
        #expect(judge(filter(1), ours).severity == .warning)
        #expect(judge(filter(1), ours).remedy == "tc filter del dev eth0 egress prio 1 handle 0xa bpf")
        #expect(judge(filter(1)).remedy == "tc filter del dev eth0 egress prio 1")
    }

    @Test func `no uplink is told, and more than the guard knows`() {
        func judge(_ uplinks: [String], bare: [String] = [], named: String? = nil) -> Finding {
            var settings = NodeSettings()
            settings.uplink = named
            return Probe.judge(uplinks, bare: bare, settings, nil, isExpected: true)
        }
        #expect(judge([]).severity == .warning && judge([]).remedy?.contains("FORWARDER_UPLINK=eth0") == true)
        #expect(judge([], named: "eth7").remedy == "see the finding uplink")
        let four = ["eth0", "eth1", "eth2", "eth3"]
        #expect(judge(four).severity == .ok)
        let beyond = judge(four + ["eth4", "eth5"])
        #expect(beyond.severity == .warning && beyond.evidence.contains("eth4, eth5"), "\(beyond)")
        #expect(beyond.remedy?.hasSuffix("FORWARDER_UPLINK=eth0") == true)
        #expect(judge(four, bare: ["eth1"]).remedy?.contains("forwarder guard") == true)
    }

    @Test func `a resolver in Tailscale's own range that is silent is told why, and another to name`() {
        var counts = Counts()
        counts.vpn.timedOut = 3
        func judge(_ resolver: String) -> Finding {
            let dns = StatusReport.DNS(
                listen: "127.0.0.51:53", direct: "9.9.9.9", vpn: resolver, isTakenOver: true, because: nil,
                counts: counts)
            return Probe.judge(dns, DNSSettings())
        }
        for resolver in ["10.64.0.1", "100.128.0.1", "100.64.0.23", "fd7a:115c:a1e0::9"] {
            let finding = judge(resolver)
            #expect(finding.severity == .warning && finding.evidence.contains("answered none"), "\(finding)")
            let isTailnets = resolver.hasPrefix("100.64.") || resolver.hasPrefix("fd7a:")
            #expect(finding.evidence.contains("Tailscale's firewall drops") == isTailnets, "\(finding)")
        }
        counts.vpn.answered = 1
        #expect(judge("100.64.0.23").severity == .ok)
    }
}
