import Foundation
import Lab
import LinuxSystem
import Testing

@Suite(.labCanBeBuilt) struct LabHostTests {
    @Test("what one host keeps in /run and the bpf file system, no other sees")
    func isolation() throws {
        let one = try LabHost(named: "one")
        let other = try LabHost(named: "other")
        let places = ["/run/forwarder", "/run/wireguard", "/sys/fs/bpf"]
        for place in places {
            try one.run(["mkdir", "\(place)/here"])
            #expect(try one.run(["ls", place]).contains("here"))
            #expect(try !other.run(["ls", place]).contains("here"))
        }
    }

    @Test("making a host makes no directory on the machine")
    func leavesNothing() throws {
        // One that somebody made before could hide that a host makes it, hence empty ones in place of the machine's.
        let places = ["/run", "/var/lib"]
        let machine = try Namespace { () throws(KernelError) in for place in places { try mount("tmpfs", at: place) } }
        let (host, left) = try machine.run { () throws(KernelError) in
            let host = Result { try LabHost(named: "host") }
            return (host, places.flatMap { (try? FileManager.default.contentsOfDirectory(atPath: $0)) ?? ["?"] })
        }
        _ = try host.get()
        #expect(left == [])
    }

    @Test("a program that is left CAP_NET_ADMIN and CAP_BPF can set up links and cannot mount")
    func capabilities() throws {
        let host = try LabHost(named: "host")
        let attempt = "ip link set lo mtu 5000 && cat /sys/class/net/lo/mtu; mount -t tmpfs none /mnt && echo mounted"
        let child = try host.start(["sh", "-c", attempt], capabilities: [.netAdmin, .bpf])
        #expect(child.wait(upTo: .seconds(10)) != nil)
        #expect(child.standardOutput == "5000\n")
    }

    @Test("a command that fails is reported with the command, the host and its own words")
    func failure() throws {
        let host = try LabHost(named: "host")
        let failure = #expect(throws: LabFailure.self) { try host.ip("link set eth7 up") }
        #expect(failure?.couldNot == "run ip -batch - on host")
        #expect(failure?.because.contains("Cannot find device \"eth7\"") == true)
    }

    @Test("a command that does not end is given up")
    func patience() throws {
        let host = try LabHost(named: "host")
        let failure = #expect(throws: LabFailure.self) { try host.run(["sleep", "60"], upTo: .milliseconds(100)) }
        #expect(failure?.because.contains("no end after 0.1 seconds") == true)
    }
}
