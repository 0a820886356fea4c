import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// What the host grants to the process.
extension DoctorTests {
    private func strace(_ fault: String) -> [String] {
        let call = fault.prefix { $0 != ":" }
        return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=\(call)", "-e", "inject=\(fault)"]
    }

    private var traced: Capabilities { [.netAdmin, .bpf, .sysPtrace] }

    /// Lays a file over one of the kernel's, on the lab's node only.
    private func replace(_ file: String, by text: String) throws {
        try shell("echo \(text) > /run/instead && mount --bind /run/instead \(file)")
    }

    @Test("missing capabilities are named, and what could not be asked for want of them")
    func capabilities() throws {
        try expect("capabilities", .error, remedy: "cap_add: [NET_ADMIN, BPF]", capabilities: [])
        let report = try doctor(capabilities: .netAdmin)
        #expect(report["capabilities"]?.remedy?.contains("cap_add: [BPF]") == true)
        for id in ["bpf", "offloads"] { #expect(report[id]?.evidence.hasPrefix("not asked: ") == true) }
        #expect(try doctor(capabilities: [])["firewall"]?.evidence.hasPrefix("not asked: ") == true)
    }

    @Test("a refused bpf(2) and a refused io_uring are told")
    func refusedCalls() throws {
        try expect(
            "bpf", .error, remedy: "cap_add: [BPF, NET_ADMIN]", behind: strace("bpf:error=EPERM"), capabilities: traced)
        let refusal = strace("io_uring_setup:error=EPERM")
        try expect("io_uring", .note, remedy: "allow io_uring", behind: refusal, capabilities: traced)
        // The remedy's first half: with auto a refused io_uring is no error any more.
        try expect(
            "io_uring", .error, remedy: "FORWARDER_IO=auto", ["--io", "uring"], behind: refusal, capabilities: traced,
            follow: { ["--io", "auto"] })
        try expect(
            "io_uring", .note, remedy: "memlock: -1", behind: strace("io_uring_setup:error=ENOMEM"),
            capabilities: traced)
        for (errno, remedy) in [("ENOSYS", "CONFIG_IO_URING"), ("EOPNOTSUPP", "use Linux 6.8 or newer")] {
            let told = try doctor(behind: strace("io_uring_setup:error=\(errno)"), capabilities: traced)["io_uring"]
            #expect(told?.severity == .note && told?.remedy?.contains(remedy) == true, "\(String(describing: told))")
        }
    }

    /// The kernel's own switch is the whole machine's: the lab has a file in its place, and strace refuses for it.
    @Test("io_uring that is switched off is told, with the switch")
    func uringDisabled() throws {
        let file = "/proc/sys/kernel/io_uring_disabled"
        try replace(file, by: "2")
        let command = "sysctl -w kernel.io_uring_disabled=0"
        try expect(
            "io_uring", .note, remedy: command, behind: strace("io_uring_setup:error=EPERM"), capabilities: traced
        ) {
            try shell(command)
            return nil
        }
        #expect(try lab.node.run(["cat", file]) == "0\n", "the control: the command does what the switch wants")
    }

    @Test(
        "what keeps names from being split is told: no port, no resolver, another's server, a file that cannot be written"
    )
    func names() throws {
        try lab.node.set("net/ipv4/ip_unprivileged_port_start", to: "1024")
        try expect("dns", .error, remedy: "net.ipv4.ip_unprivileged_port_start=53") {
            try lab.node.set("net/ipv4/ip_unprivileged_port_start", to: "53")
            return nil
        }
        try shell("echo nameserver 127.0.0.11 > /etc/resolv.conf")
        try expect("dns", .warning, remedy: "FORWARDER_DNS_VPN=10.64.0.1") { ["--dns-vpn", "10.64.0.1"] }
        try shell("echo nameserver 10.64.0.1 > /etc/resolv.conf")
        let gluetun = try lab.node.start(["dnsmasq", "-k", "--conf-file=/dev/null", "-R", "-h", "-x", "--user=root"])
        try eventually { try lab.node.run(["ss", "-lnu"]).contains(":53 ") }
        try expect("dns", .error, remedy: "DNS_SERVER=off") {
            gluetun.terminate()
            return nil
        }
        try shell("mount -o remount,bind,ro /etc/resolv.conf")
        try expect("dns", .warning, remedy: "mount it writable") {
            try shell("mount -o remount,bind,rw /etc/resolv.conf")
            return nil
        }
        let off = ["--dns", "off"]
        #expect(try doctor(off)["dns"]?.severity == .ok, "off, and asked by the VPN")
        try shell("ip route del default; ip -6 route del default")
        try lab.layUplink("eth0", 1, metric: 100)
        try shell("echo nameserver 198.51.100.53 > /etc/resolv.conf")
        try expect("dns", .warning, remedy: "FORWARDER_DNS=on", off)
    }

    /// Where the machine itself allows no more (root without CAP_SYS_RESOURCE), the remedy cannot be followed, and only
    /// that is left out.
    @Test("little locked memory is told, before Linux 5.11 for the programs too")
    func lockedMemory() throws {
        try expect("io_uring", .note, remedy: "memlock: -1", behind: ["prlimit", "--memlock=8192"])
        // With CAP_IPC_LOCK nothing is counted.
        try expect(
            "memlock", .note, remedy: "memlock: -1",
            behind: ["setpriv", "--bounding-set", "-ipc_lock", "--", "prlimit", "--memlock=8192"], wellBehind: ["env"],
            capabilities: nil)
        try replace("/proc/sys/kernel/osrelease", by: "5.10.0-30-amd64")
        func told(_ limit: String) throws -> DoctorReport.Finding? {
            let line = "ulimit -l \(limit); exec setpriv --bounding-set -ipc_lock -- \"$@\""
            return try doctor(behind: ["sh", "-c", line, "sh"], capabilities: nil)["memlock"]
        }
        let ill = try told("8192")
        #expect(ill?.severity == .warning && ill?.remedy?.contains("ulimit -l unlimited") == true)
        #expect(try doctor(capabilities: nil)["memlock"]?.severity == .ok, "the control: it is the limit that is told")
        if (try? shell("ulimit -l unlimited")) != nil { #expect(try told("unlimited")?.severity == .ok) }
    }

    /// What the kernel says of its release is a file in the lab. Another kernel, the remedy, is what its own file says.
    @Test("a kernel that is too old, or too old for io_uring, is told")
    func kernel() throws {
        let file = "/proc/sys/kernel/osrelease"
        for (release, severity, remedy) in [
            ("5.9.16", Finding.Severity.error, "use Linux 5.10 or newer"),
            ("6.7.12", .note, "for io_uring use Linux 6.8 or newer"),
        ] {
            try replace(file, by: release)
            try expect("kernel", severity, remedy: remedy) {
                try shell("umount \(file)")
                return nil
            }
        }
    }

    /// strace refuses the offloads as an older kernel does. The remedy is another kernel: this one.
    @Test("a port that takes not all super-packets whole is told")
    func offloads() throws {
        // Of the calls on the device the fourth offers what the port takes, and each further one offers less.
        for (refused, severity, remedy) in [
            ("4", Finding.Severity.note, "use Linux 6.2 or newer"), ("4..5", .warning, "use another kernel"),
        ] {
            try expect(
                "offloads", severity, remedy: remedy,
                behind: strace("ioctl:error=EINVAL:when=\(refused)") + ["-P", "/dev/net/tun"], capabilities: traced)
        }
    }

    /// The kernel's state of the clock is the whole machine's, so strace answers in its place, as after an NTP client's
    /// start, which is the remedy. A wrong time cannot be provoked: programs read it without a call (vDSO), and there is
    /// no namespace for it. That case is judged in ProbeJudgementTests.
    @Test("a clock that nothing keeps right is told")
    func clock() throws {
        try expect(
            "clock", .note, remedy: "timedatectl set-ntp true", behind: strace("clock_adjtime:retval=5"),
            wellBehind: strace("clock_adjtime:retval=0"), capabilities: traced)
    }

    @Test("a missing /dev/net/tun is told, with the line that adds it")
    func noDevice() throws {
        try shell("mount -t tmpfs tmpfs /dev/net")
        try expect("tun", .error, remedy: "devices: [/dev/net/tun]") {
            try shell("umount /dev/net")
            return nil
        }
    }

    @Test("few open files are told")
    func openFiles() throws {
        try expect("open_files", .error, remedy: "ulimit -n 1024", behind: ["prlimit", "--nofile=40"])
        #expect(try doctor(behind: ["sh", "-c", "ulimit -n 1024; exec \"$@\"", "sh"])["open_files"]?.severity == .ok)
    }

    // MARK: The cap

    /// On a disk of the machine; gone with its owner.
    private final class Place {
        let path: String
        /// Nil where the machine has none, as in a container whose files are an overlay.
        init?() {
            let folders = [FileManager.default.temporaryDirectory, Binary.path.deletingLastPathComponent()]
            let disk = folders.map { $0.path + "/forwarder-test-\(UUID().uuidString)" }.first { path in
                let folder = URL(filePath: path).deletingLastPathComponent().path
                return Mount.holding(folder).map { !["tmpfs", "ramfs", "overlay"].contains($0.type) } == true
            }
            guard let disk else { return nil }
            path = disk
        }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    /// Where the machine itself has no disk, the remedy cannot be followed, and only that is left out.
    @Test("a state_dir that is missing, not ours, full or in memory is told where there is a cap")
    func stateDirectory() throws {
        let place = Place()
        func well(_ command: String) throws -> [String]? {
            guard let place else { return ["--cap", "none"] }
            try shell(command)
            return ["--cap", "35GB", "--state-dir", place.path]
        }
        let path = place?.path ?? "/run/state"
        let capped = ["--cap", "35GB", "--state-dir"]
        try expect("state_dir", .error, remedy: "mkdir -p \(path)", capped + [path]) { try well("mkdir -p \(path)") }
        try shell("mkdir -p \(path); chmod 555 \(path)")
        try expect("state_dir", .error, remedy: "this user can write", capped + [path]) {
            try well("chmod 755 \(path)")
        }
        try expect("state_dir", .error, remedy: "a directory", capped + ["/etc/passwd"]) { try well("true") }
        try expect("state_dir", .warning, remedy: "volumes: [forwarder-state:/run]", capped + ["/run"]) {
            try well("true")
        }
        try shell(
            "mkdir -p /run/full && mount -t tmpfs -o size=64k tmpfs /run/full && ! dd if=/dev/zero of=/run/full/x")
        let full = try doctor(capped + ["/run/full"])["state_dir"]
        #expect(full?.severity == .error && full?.remedy?.contains("with room") == true, "\(String(describing: full))")
        try shell("rm /run/full/x")
        #expect(try doctor(capped + ["/run/full"])["state_dir"]?.severity == .warning, "the control")
    }

    /// A clock that is before the period cannot be provoked here; ProbeJudgementTests judges it.
    @Test("a damaged ledger is told, and without a bpffs that crashes are charged for")
    func ledger() throws {
        try lab.layUplink("eth0", 1, metric: 100)
        let capped = ["--cap", "35GB", "--state-dir", "/run/state"]
        try shell("mkdir /run/state")
        #expect(try doctor(capped)["ledger"]?.evidence.contains("none in /run/state yet") == true)
        try shell("\(Binary.path.path) guard \(capped.joined(separator: " ")) && \(Binary.path.path) down")
        #expect(try doctor(capped)["ledger"]?.severity == .ok)
        func damage(_ slot: Int) throws {
            try shell("printf x | dd of=/run/state/ledger bs=1 seek=\(slot * 4096 + 100) conv=notrunc")
        }
        try damage(0)
        try expect("ledger", .note, remedy: "the next write mends it", capped) {
            try lab.node.run([Binary.path.path, "quota", "grant", "1B"] + capped)
            return capped
        }
        try damage(0)
        try damage(1)
        try expect("ledger", .warning, remedy: "lower FORWARDER_CAP", capped) {
            let node = try ForwarderProcess(Binary.path.path, on: lab, capped)
            #expect(try doctor(capped)["ledger"]?.severity == .warning, "the node that runs says so")
            node.stop()
            return capped
        }
        let later = """
            def crc32c(octets):
                sum = 0xffffffff
                for octet in octets:
                    sum ^= octet
                    for _ in range(8):
                        sum = sum >> 1 ^ (0x82f63b78 if sum & 1 else 0)
                return sum ^ 0xffffffff
            with open("/run/state/ledger", "r+b") as ledger:
                for place in 0, 4096:
                    ledger.seek(place)
                    slot = bytearray(ledger.read(4096))
                    slot[12:16] = (9).to_bytes(4, "little")
                    slot[8:12] = crc32c(slot[:8] + slot[12:]).to_bytes(4, "little")
                    ledger.seek(place)
                    ledger.write(slot)
            """
        try lab.node.run(["python3", "-c", later])
        #expect(try doctor(capped)["ledger"]?.evidence.contains("later forwarder (version 9") == true)
        try expect("ledger", .error, remedy: "run that version", capped) {
            try shell("rm /run/state/ledger")
            return capped
        }
        try shell("umount /sys/fs/bpf")
        try expect("bpffs", .warning, command: "mount -t bpf bpf /sys/fs/bpf", capped)
    }

    @Test("file systems that are not there are notes")
    func mounts() throws {
        try shell("umount /sys/fs/bpf")
        try expect("bpffs", .note, command: "mount -t bpf bpf /sys/fs/bpf")
        try shell("mkdir /run/root; ln -s /bin/sleep /run/root/tailscaled; mount -t tmpfs tmpfs /sys/fs/cgroup")
        var tailscaled: TailscaledProcess?
        try expect("cgroup", .note, remedy: "mount -t cgroup2 cgroup2 /sys/fs/cgroup") {
            try shell("mount -t cgroup2 cgroup2 /sys/fs/cgroup")
            try #require(try doctor()["cgroup"]?.remedy?.contains("start tailscaled") == true)
            let inRoot = try lab.node.start([
                "sh", "-c", "echo $$ >/sys/fs/cgroup/cgroup.procs; exec /run/root/tailscaled 60",
            ])
            try eventually { try doctor()["cgroup"]?.remedy?.contains("give it one of its own") == true }
            inRoot.terminate()
            tailscaled = try TailscaledProcess(on: lab.node)
            return nil
        }
        withExtendedLifetime(tailscaled) {}
    }

    @Test("a port's name that somebody took is told")
    func nameTaken() throws {
        try lab.node.ip("tuntap add fwd-out mode tun")
        try expect("ports", .error, command: "ip link delete fwd-out")
    }

    @Test("a place where no control socket can be made is told")
    func controlSocket() throws {
        let place = "--control-socket /run/forwarder/control.sock"
        for path in ["/proc/forwarder/control.sock", "/etc/passwd", "/etc/passwd/control.sock"] {
            try expect("control_socket", .error, remedy: place, ["--control-socket", path]) {
                place.split(separator: " ").map(String.init)
            }
        }
    }
}
