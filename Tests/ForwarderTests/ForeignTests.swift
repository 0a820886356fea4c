import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// Rules and filters of somebody else ahead of ours or in our place: theirs stay, exit traffic does not fall to the
/// kernel's routing, and one sentence tells. (Of routing tables a node has none of its own yet that others could take.)
@Suite(.serialized, .labCanBeBuilt) struct ForeignTests {
    private let lab: PlainLab

    init() throws {
        lab = try PlainLab()
        try lab.enableKernelRouting()
        #expect(try lab.passes(), "the control: the kernel would route it")
    }

    private func node(_ line: String) throws { try lab.node.run(["sh", "-c", line]) }

    private func rules() throws -> String {
        try lab.node.run(["ip", "rule"]) + lab.node.run(["ip", "-6", "rule"])
    }

    private func killed(_ forwarder: ForwarderProcess) throws {
        forwarder.child.signal(SIGKILL)
        _ = forwarder.child.wait(upTo: .seconds(5))
    }

    // MARK: Rules

    /// As long as our program is on the interface, it takes exit traffic before any rule is asked. So a rule ahead of ours
    /// opens only an interface that is made anew while no node runs: a data plane can do no more than tell, in time.
    @Test("a rule that opens what ours closes is warned of once, with the command that ends it")
    func openingRule() throws {
        try node("ip rule add pref 10 iif tailscale0 lookup main; ip -6 rule add pref 10 iif tailscale0 lookup main")
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        #expect(try lab.passes())
        #expect(try forwarder.status().forwarded.egress.packets >= 2, "by us")
        try lab.node.ip("link set tun0 mtu 1400\nlink set tun0 mtu 1420")
        try eventually { forwarder.child.standardError.contains("ip rule delete") }
        let warnings = forwarder.child.standardError.split(separator: "\n").filter {
            $0.contains(" level=warning ") && !$0.contains("no uplink is known")
        }
        #expect(warnings.count == 1, "\(warnings)")
        #expect(warnings[0].contains("made anew while no node runs; next: ip rule delete preference 10"), "\(warnings)")

        try killed(forwarder)
        #expect(try lab.isClosed(), "the programs drop before any rule is asked")
        try lab.node.ip("link del tailscale0")
        try lab.makeTailnetEdge()
        for family in ["-4", "-6"] { try lab.node.run(["ip", family, "rule", "delete", "pref", "91", "iif", "tun0"]) }
        #expect(try lab.passes(), "the control: made anew, it is open by their rule")
        try node("ip rule delete preference 10; ip -6 rule delete preference 10")
        #expect(try lab.isClosed(), "and with the remedy followed it is closed")
    }

    @Test("foreign rules that refuse, that jump, or that stand where ours do change nothing, and stay")
    func rulesInOurPlace() throws {
        let foreign = [
            "pref 10 iif tailscale0 prohibit", "pref 11 iif tailscale0 blackhole", "pref 12 iif tailscale0 goto 32766",
            "pref 90 iif tailscale0 lookup 77", "pref 91 iif tailscale0 lookup 77",
            "pref 91 iif tailscale0 unreachable",
        ]
        for rule in foreign { try node("ip rule add \(rule); ip -6 rule add \(rule)") }
        let before = try rules()
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, ["--local", "192.168.7.0/24"])
        #expect(try lab.passes())
        #expect(try rules().components(separatedBy: "iif tailscale0 unreachable proto 240").count == 3)
        #expect(forwarder.child.standardError.contains(" level=warning "), "the rules at 90 and 91 are told")
        try killed(forwarder)
        #expect(try lab.isClosed())
        _ = try forwarder.ask(["down"])
        #expect(try rules() == before)
    }

    // MARK: Filters

    private static let filters = [
        ("a program at our place and handle", "prio 1 handle 0xf0 bpf bytecode '1,6 0 0 4294967295,' flowid 1:1"),
        ("a filter of another kind", "prio 1 protocol all u32 match u32 0 0 classid 1:1"),
        ("a filter of another kind and protocol", "prio 1 protocol ip u32 match u32 0 0 classid 1:1"),
    ]

    private func filters(_ edge: String) throws -> String {
        try lab.node.run(["tc", "filter", "show", "dev", edge, "ingress"])
    }

    @Test(
        "a filter in our place is not replaced: run is refused with the command that ends it, and nothing is left",
        arguments: ["tailscale0", "tun0"])
    func filterInOurPlace(edge: String) throws {
        try node("tc qdisc add dev \(edge) clsact")
        for (kind, filter) in Self.filters {
            try node("tc filter add dev \(edge) ingress \(filter)")
            let before = try filters(edge)
            let child = try lab.node.start([Binary.path.path, "run"], capabilities: [.netAdmin, .bpf])
            #expect(child.wait(upTo: .seconds(10)) == .exited(69), "\(kind)")
            let message = child.standardError
            #expect(message.contains("at \(edge)'s ingress a filter has the priority 1"), "\(kind): \(message)")
            #expect(message.contains("next: tc filter del dev \(edge) ingress prio 1"), "\(kind): \(message)")
            #expect(try filters(edge) == before, "\(kind)")
            #expect(!(try rules().contains("tailscale0")), "\(kind)")
            #expect(!(try filters("tailscale0").contains("forwarder:")), "\(kind)")
            #expect(try lab.node.run([Binary.path.path, "down"]).contains("nothing of forwarder's"))
            #expect(try filters(edge) == before, "\(kind)")
            try node("tc filter del dev \(edge) ingress prio 1")
        }
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        #expect(try lab.passes(), "the remedy was followed")
        withExtendedLifetime(forwarder) {}
    }

    @Test("a filter beside ours is left alone", arguments: ["tailscale0", "tun0"])
    func filterBeside(edge: String) throws {
        try node("tc qdisc add dev \(edge) clsact")
        try node("tc filter add dev \(edge) ingress prio 1 handle 0x1 bpf bytecode '1,6 0 0 4294967295,' flowid 1:1")
        try node("tc filter add dev \(edge) ingress prio 7 protocol ip u32 match u32 0 0 classid 1:1")
        let before = try filters(edge)
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        #expect(try lab.passes())
        #expect(try forwarder.status().forwarded.ingress.packets >= 2, "by us")
        _ = try forwarder.ask(["down"])
        #expect(try filters(edge) == before)
    }

    @Test(
        "a filter that takes our place while we run stays, closes, is told, and once it is gone all goes on",
        arguments: ["tailscale0", "tun0"])
    func filterTakesOurPlace(edge: String) throws {
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        #expect(try lab.passes())
        for (kind, filter) in Self.filters {
            // Stopped, or it would have put its own back before theirs is there.
            forwarder.child.signal(SIGSTOP)
            try node("tc qdisc del dev \(edge) clsact; tc qdisc add dev \(edge) clsact")
            try node("tc filter add dev \(edge) ingress \(filter)")
            let theirs = try filters(edge)
            #expect(try lab.isClosed(), "\(kind), before we know")
            forwarder.child.signal(SIGCONT)
            try eventually { try forwarder.status().state == "waiting" }
            #expect(try lab.isClosed(), "\(kind)")
            #expect(try lab.client.ping(lab.nodeAddress.v4, count: 1) == 1, "the node itself answers")
            #expect(try filters(edge) == theirs)
            try node("tc filter del dev \(edge) ingress prio 1")
            try eventually { try lab.passes() }
        }
        let told = "waiting for the kernel, which refuses: at \(edge)'s ingress a filter has the priority 1"
        #expect(forwarder.child.standardError.components(separatedBy: told).count == 1 + Self.filters.count)
    }
}
