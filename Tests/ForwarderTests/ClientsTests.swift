import Foundation
import Lab
import LinuxNetwork
import LocalAPI
import PacketParse
import Testing

@testable import Node

/// What each client has moved, and what it is called, for the person at the machine.
@Suite(.serialized, .labCanBeBuilt) struct ClientsTests {
    private let lab: PlainLab
    private let second = "100.64.0.3"

    init() throws {
        lab = try PlainLab()
        try lab.client.ip("addr add \(second)/10 dev eth0")
    }

    private static func status(_ names: [(address: String, name: String)]) -> String {
        let peers = names.enumerated().map { index, peer in
            #""nodekey:\#(index)":{"HostName":"host","DNSName":"\#(peer.name)","TailscaleIPs":["\#(peer.address)"]}"#
        }
        return #"{"Self":{"HostName":"node","TailscaleIPs":null},"MagicDNSSuffix":"tail1.ts.net","Peer":{"#
            + peers.joined(separator: ",") + "}}"
    }

    private func clients(_ node: ForwarderProcess, _ arguments: [String] = []) throws -> ClientsReport {
        try ClientsReport(json: Data(try node.ask(["clients", "--json"] + arguments).utf8))
    }

    private func ping(from source: String, count: Int) throws {
        let series = try PingSeries(
            on: lab.client, to: lab.internetAddress.v4, from: source, count: count, every: 0.05)
        #expect(try series.roundTrips().count == count)
    }

    @Test("each has what it moved, both ways, to the byte, whether its flows live or have ended")
    func count() throws {
        let tailscaled = try TailscaledStandIn(
            on: lab.node, .advertising([]),
            status: Self.status([(lab.clientAddress.v4, "laptop.tail1.ts.net."), (second, "guest.other.ts.net.")]))
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        try ping(from: lab.clientAddress.v4, count: 5)
        try ping(from: second, count: 10)

        func expectCounts(_ report: ClientsReport, live: Int) {
            #expect(report.schema == "forwarder.clients/1")
            #expect((report.total, report.shown, report.masked) == (2, 2, false))
            #expect(report.clients.map(\.client) == [second, lab.clientAddress.v4])
            #expect(report.clients.map(\.name) == ["guest.other.ts.net", "laptop"])
            #expect(report.clients.map(\.egressPackets) == [10, 5])
            // 20 octets of IP, 8 of ICMP, 56 of payload.
            #expect(report.clients.map(\.egressBytes) == [840, 420])
            #expect(report.clients.map(\.ingressBytes) == [840, 420])
            #expect(report.clients.map(\.ingressPackets) == [10, 5])
            #expect(report.clients.map(\.flows) == [1, 1])
            #expect(report.clients.map(\.flowsLive) == [live, live])
            #expect(report.others == nil && report.note == nil)
            let now = Date.now
            #expect(
                report.clients.allSatisfy { $0.firstSeen <= $0.lastSeen && $0.lastSeen < now.addingTimeInterval(2) })
        }
        expectCounts(try clients(node, ["--reveal"]), live: 1)

        // The exit address is another one: its flows end.
        try lab.node.ip("addr del \(lab.exitAddress.v4)/24 dev tun0\naddr add 10.64.0.77/24 dev tun0")
        try eventually { try node.status().flows.flushed == 2 }
        expectCounts(try clients(node, ["--reveal"]), live: 0)
        let first = try clients(node, ["--reveal", "--top", "1"])
        #expect((first.total, first.shown) == (2, 1) && first.clients[0].client == second)
        // Asked for when a person asks, and not at each look.
        #expect(tailscaled.askedForStatus == 1)
        #expect(try node.ask(["clients", "--reveal"]).contains("laptop"))
        #expect(!node.child.standardError.contains("laptop") && !node.child.standardError.contains(second))
    }

    @Test("who they are is not told unless it is asked for")
    func masked() throws {
        let tailscaled = try TailscaledStandIn(
            on: lab.node, .advertising([]), status: Self.status([(lab.clientAddress.v4, "laptop.tail1.ts.net.")]))
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        try ping(from: lab.clientAddress.v4, count: 2)
        let json = try node.ask(["clients", "--json"])
        let text = try node.ask(["clients"])
        for secret in [lab.clientAddress.v4, "laptop", "ts.net"] {
            #expect(!json.contains(secret) && !text.contains(secret))
        }
        let report = try clients(node)
        #expect(report.masked && report.clients.map(\.client) == ["100.64.*.*"] && report.clients[0].egressBytes == 168)
        #expect(text.contains("1 of 1 clients") && text.contains("(--reveal shows who)"))
        #expect(tailscaled.askedForStatus == 0)
        #expect(try node.ask(["flows"]).contains("100.64.*.*"))
    }

    @Test("a tailscaled that is absent, slow or lies gives no name, and no error")
    func liars() throws {
        func answer() throws -> ClientNames.Answer {
            try lab.node.namespace.run { ClientNames().answer(at: TailscaledStandIn.socket) }
        }
        func expectFailure(_ reason: String) throws {
            switch try answer() {
            case .success(let names): Issue.record("\(names)")
            case .failure(let failure): #expect("\(failure)".contains(reason), "\(failure)")
            }
        }
        try expectFailure("No such file or directory")
        let tailscaled = try TailscaledStandIn(on: lab.node, .hanging)
        let clock = ContinuousClock()
        let took = try clock.measure { try expectFailure("nothing was said in time") }
        #expect(took < .seconds(2))
        for (manner, reason) in [
            (.refusing, "status 500"), (.hangingUp, "the connection was closed"),
            (.saying("[1]"), "not tailscaled's status"), (.saying(#"{"Peer":7}"#), "not tailscaled's status"),
            (.saying(#"{"Self":{"HostName":"\#u{1b}"}}"#), "not tailscaled's status"),
            (.saying(String(repeating: "[", count: 100_000)), "not tailscaled's status"),
            (.saying(String(repeating: " ", count: 5 << 20)), "too long"),
        ] as [(TailscaledStandIn.Manner, String)] {
            tailscaled.behave(manner)
            try expectFailure(reason)
        }
        // So many machines without a name take seconds to read, which nobody waits for.
        let slow = (0..<400_000).map { "\"\(String($0, radix: 36))\":{}" }.joined(separator: ",")
        tailscaled.behave(.saying(#"{"Peer":{\#(slow)}}"#))
        let waited = try clock.measure {
            if case .failure(let failure) = try answer() { #expect("\(failure)".contains("too long to read")) }
        }
        #expect(waited < .seconds(4))
        let address = try #require(IPAddress(lab.clientAddress.v4))
        for name in [
            "", "\\u001b[31mred", "a\\nb", "a\\u0000b", "caf\\u00e9", "\\u202egnp", "\\u009b31m",
            String(repeating: "n", count: 1 << 20),
        ] {
            for text in [
                #"{"Peer":{"k":{"HostName":"\#(name)","TailscaleIPs":["\#(lab.clientAddress.v4)"]}}}"#,
                #"{"Peer":{"k":{"DNSName":"\#(name)","TailscaleIPs":["\#(lab.clientAddress.v4)","no address"]}}}"#,
            ] {
                tailscaled.behave(.saying(text))
                #expect(try answer().get()[address] == nil, "\(name.prefix(20))")
            }
        }
        // A name that is not to be believed does not hide one that is, nor another's.
        tailscaled.behave(
            .saying(
                #"{"Self":null,"Peer":{"k":{"DNSName":"\u001b[2J","HostName":"my phone","#
                    + #""TailscaleIPs":["\#(lab.clientAddress.v4)"]}}}"#))
        #expect(try answer().get()[address] == "my phone")
    }

    @Test("a node whose tailscaled is silent answers within a second or so, says why, and is not held up each time")
    func silent() throws {
        let tailscaled = try TailscaledStandIn(on: lab.node, .advertising([]))
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        try ping(from: lab.clientAddress.v4, count: 1)
        tailscaled.behave(.hanging)
        let clock = ContinuousClock()
        let first = try clock.measure {
            let report = try clients(node, ["--reveal"])
            #expect(report.clients.map(\.client) == [lab.clientAddress.v4] && report.clients[0].name == nil)
            #expect(report.note == "no names, for tailscaled does not tell: nothing was said in time")
        }
        #expect(first < .seconds(4))
        let asked = tailscaled.askedForStatus
        #expect(try node.ask(["clients", "--reveal"]).contains("note: no names"))
        #expect(try clients(node).note == nil)
        #expect(tailscaled.askedForStatus == asked && asked == 1)
    }

    @Test("--watch shows again and again, tells rates, and ends with its reader")
    func watch() throws {
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        try ping(from: lab.clientAddress.v4, count: 1)
        for verb in ["clients", "flows"] {
            let json = try lab.node.run(
                ["bash", "-c", "\(Binary.path.path) \(verb) --watch --json | head -2"], upTo: .seconds(10))
            let lines = json.split(separator: "\n")
            #expect(lines.count == 2 && lines.allSatisfy { $0.hasPrefix("{") && $0.hasSuffix("}") })

            let text = try lab.node.run(
                ["bash", "-c", "\(Binary.path.path) \(verb) --watch 1 | head -8"], upTo: .seconds(10))
            #expect(text.contains("egress/s") && text.contains("0 B/s"), "\(text)")
            #expect(!text.contains("\u{1b}"), "no terminal, no escape")
        }
        // On a terminal, in place. script(1) has one for its child.
        let typescript = try lab.node.run(
            [
                "bash", "-c",
                "TERM=xterm timeout -s INT 3 script -qec '\(Binary.path.path) flows --watch' /dev/null </dev/null; true",
            ], upTo: .seconds(10))
        #expect(typescript.components(separatedBy: "\u{1b}[H").count >= 3, "\(typescript)")
        #expect(typescript.contains("1 of 1 flows") && typescript.contains("\u{1b}[J"))
        #expect(node.stop() == .exited(0))
        let ending = try Binary.run(["flows", "--watch", "0"])
        #expect(ending.code == 64 && ending.err.contains("--watch takes 1 to 3600 seconds, not 0"))
    }
}
