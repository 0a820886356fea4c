import Foundation
import Glibc
import Lab
import LinuxSystem
import Testing

@testable import Node

/// Whether the VPN answers, told by a running node between real tunnels; and what it asks of whoever makes them.
@Suite(.serialized, .labCanBeBuilt) struct TunnelTests {
    private func vpn(_ node: ForwarderProcess) throws -> StatusReport.VPN {
        let status = try StatusReport(json: Data(node.ask(["status", "--json"]).utf8))
        return try #require(status.vpn)
    }

    private func lines(_ node: ForwarderProcess, with words: String) -> Int {
        node.child.standardError.split(separator: "\n").count { $0.contains(words) }
    }

    @Test("up while it answers and while nobody sends, stale when clients send and nothing comes back, and up again")
    func silence() throws {
        let lab = try WireGuardLab()
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--vpn-stale", "3s"])
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        let sound = try vpn(node)
        #expect(sound.state == .up && sound.because == nil)
        #expect(sound.wireguard == .process && sound.endpoints == ["198.51.100.1:51820"] && sound.fwmark == 51_820)
        // Told by the next look.
        try eventually { try vpn(node).lastHandshake.map { abs($0.timeIntervalSinceNow) < 60 } == true }
        try eventually { try (vpn(node).receivedBytes ?? 0) > 0 }

        // The server's end is gone, and nobody notices, for nobody sends.
        try lab.server.ip("link set wg0 down")
        let used = try node.processorSeconds()
        usleep(7_000_000)
        #expect(try node.processorSeconds() - used < 0.2, "seven looks, and no spin")
        let idle = try vpn(node)
        #expect(idle.state == .up && idle.since == sound.since, "\(idle)")

        let begin = ContinuousClock.now
        let client = try lab.client.start(["ping", "-n", "-i", "0.2", lab.internetAddress.v4])
        try eventually(within: .seconds(20)) { try vpn(node).state == .stale }
        let took = begin.duration(to: .now)
        #expect(
            took > .seconds(3) && took < .seconds(9), "3 s, a look to notice the first packet, one to notice the time")
        let stale = try vpn(node)
        #expect(stale.because == "clients have sent into it for 3s, and nothing came back")
        #expect(stale.since > sound.since)
        #expect(try node.ask(["status"]).contains("stale for "))
        #expect(try node.status().state == "forwarding", "packets go on into it")

        // The peers' own timers: at worst fifteen seconds until they try, then every five.
        try lab.server.ip("link set wg0 up")
        try eventually(within: .seconds(40)) { try vpn(node).state == .up }
        #expect(lines(node, with: "the VPN on tun0 is stale: ") == 1)
        #expect(lines(node, with: "the VPN on tun0 is up again") == 1)
        #expect(lines(node, with: "198.51.100.1") == 0, "no address is logged")
        client.terminate()
    }

    @Test("down while its interface is missing, down or without an address, and up with the next one")
    func missing() throws {
        let lab = try WireGuardLab()
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        #expect(try vpn(node).state == .up)
        lab.cutVPNTunnel()
        try eventually { try vpn(node).because == "there is no tun0" }
        let down = try vpn(node)
        #expect(down.state == .down && down.wireguard == nil)
        #expect(down.endpoints == ["198.51.100.1:51820"], "the next one's first packets are to pass")
        try lab.digVPNTunnel()
        try eventually { try vpn(node).state == .up }
        #expect(lines(node, with: "the VPN is down: there is no tun0") == 1)
        try lab.node.ip("link set tun0 down")
        try eventually { try vpn(node).because == "tun0 is down" }
        try lab.node.ip("link set tun0 up")
        try eventually { try vpn(node).state == .up }
        #expect(try vpn(node).fwmark == 51_820)
        try lab.node.ip("addr flush dev tun0 scope global")
        try eventually { try vpn(node).because == "tun0 has no address" }
    }

    @Test("settings win over what the interface tells, and are taken while packets flow")
    func settings() throws {
        let lab = try WireGuardLab()
        try lab.node.run(["wg", "set", "tun0", "fwmark", "7"])
        try lab.node.run(["sh", "-c", "echo 'vpn_fwmark: 8' > /run/forwarder.yaml"])
        let node = try ForwarderProcess(
            Binary.path.path, on: lab, ["--config", "/run/forwarder.yaml", "--vpn-endpoint", "[2001:db8:51::1]:51820"])
        #expect(try vpn(node).fwmark == 8)
        #expect(try vpn(node).endpoints == ["[2001:db8:51::1]:51820"])
        try lab.node.run(["sh", "-c", "echo 'vpn: tun0' > /run/forwarder.yaml"])
        node.child.signal(SIGHUP)
        try eventually { try vpn(node).fwmark == 7 }
    }

    @Test(
        "the guard lets the tunnel's own packets pass by its mark or by its endpoint, as the interface tells them, and no others"
    )
    func encapsulation() throws {
        let lab = try WireGuardLab()
        func passes(_ arguments: String...) throws -> Bool {
            let node = try ForwarderProcess(Binary.path.path, on: lab, ["--vpn-stale", "2s"] + arguments)
            defer { node.stop() }
            return try lab.client.ping(lab.internetAddress.v4, count: 30, upTo: 3) > 0
        }
        #expect(try passes())
        try lab.node.run(["wg", "set", "tun0", "fwmark", "0"])
        #expect(try passes(), "it tells of no mark, and is known by its endpoint")
        #expect(try !passes("--vpn-endpoint", "198.51.100.1:51821"), "the control: it is neither marked nor goes there")
        #expect(try passes("--vpn-endpoint", "198.51.100.1:51820"))
        try lab.node.run(["wg", "set", "tun0", "fwmark", "7"])
        #expect(try passes("--vpn-endpoint", "198.51.100.1:51821"))
        #expect(try !passes("--vpn-endpoint", "198.51.100.1:51821", "--vpn-fwmark", "8"))

        // Nobody announces another mark: the next look sees it.
        let node = try ForwarderProcess(
            Binary.path.path, on: lab, ["--vpn-stale", "2s", "--vpn-endpoint", "198.51.100.1:51821"])
        try lab.node.run(["wg", "set", "tun0", "fwmark", "9"])
        try eventually { try vpn(node).fwmark == 9 }
        try eventually { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 1 }
    }

    @Test("a tunnel that tells nothing is known by the usual mark, and judged by what clients send")
    func untold() throws {
        let lab = try PlainLab()
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--vpn-stale", "2s"])
        #expect(try vpn(node).wireguard == nil && vpn(node).fwmark == 51_820 && vpn(node).endpoints == [])
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        let client = try lab.client.start(["ping", "-n", "-i", "0.2", lab.internetAddress.v4])
        usleep(5_000_000)
        #expect(try vpn(node).state == .up, "the control: it is answered")
        // What comes back is dropped before anybody counts it. ARP's answers are, too.
        try lab.internet.ip("link set eth0 down")
        try eventually(within: .seconds(15)) { try vpn(node).state == .stale }
        try lab.internet.ip("link set eth0 up")
        try eventually(within: .seconds(15)) { try vpn(node).state == .up }
        client.terminate()
    }

    @Test("one who takes the question for the tunnel's facts and never answers holds nothing up")
    func hangs() throws {
        let lab = try PlainLab()
        let listener = try lab.node.namespace.run { () throws(KernelError) in
            let socket = try UnixSocket.nonBlocking()
            try UnixSocket.bind(socket, to: "/run/wireguard/tun0.sock")
            _ = listen(socket.raw, 100)
            return socket.surrender()
        }
        defer { close(listener) }
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--vpn-stale", "2s"])
        for _ in 0..<3 {
            try lab.node.ip("link del tun0")
            try eventually(within: .seconds(1)) { try vpn(node).state == .down }
            try lab.makeVPNEdge(lab.exitAddress)
            try eventually(within: .seconds(2)) { try node.status().state == "forwarding" }
        }
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        #expect(UnixSocket.wait([(listener, POLLIN)], milliseconds: 0)[0] != 0, "the control: it was asked")
    }
}
