import CBPF
import Glibc
import LinuxSystem
import Testing

@testable import LinuxNetwork

@Suite(.enabled(if: isRoot, needsRoot))
struct FilterTests {
    /// What `tc -j filter` says of a filter; the entry that stands for a priority has no options.
    private struct Oracle: Decodable {
        struct Options: Decodable {
            let handle: String?
            let bpfName: String?
            let directAction: Bool?

            enum CodingKeys: String, CodingKey {
                case handle, bpfName
                case directAction = "direct-action"
            }
        }

        let pref: UInt16
        let `protocol`: String
        let options: Options?

        static func words(_ link: Link, _ direction: Filter.Direction) throws -> [String] {
            try answer("tc -j filter show dev \(link.name) \(direction)", as: [Oracle].self).compactMap {
                guard let options = $0.options, let handle = options.handle else { return nil }
                return "\($0.protocol) \($0.pref) \(handle) \(options.bpfName ?? "") \(options.directAction ?? false)"
            }
        }
    }

    private let inside = Filter("forwarder:tailnet_ingress", .ingress, priority: 10, handle: 7)
    private let outside = Filter("forwarder:guard", .egress, priority: 0xffff, handle: 1)

    private func hookedLink(_ netlink: borrowing Netlink) throws -> Link {
        try makeVethPair()
        let left = try #require(try netlink.link(named: "left"))
        try netlink.addClsact(to: left)
        return left
    }

    /// A program that returns `verdict` for every packet.
    private func program(_ verdict: Int32 = 0) throws -> OwnedDescriptor {
        let program = [
            bpf_insn(code: 0xb7, dst_reg: 0, src_reg: 0, off: 0, imm: verdict),  // r0 = verdict
            bpf_insn(code: 0x95, dst_reg: 0, src_reg: 0, off: 0, imm: 0),  // exit
        ]
        let descriptor = unsafe bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "verdict", "GPL", program, program.count, nil)
        try #require(descriptor >= 0, "bpf: \(errno)")
        return OwnedDescriptor(descriptor)
    }

    @Test func `an attached program is where tc shows it, and outlives its descriptor`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try hookedLink(netlink)
            for filter in [inside, outside] {
                let program = try program()
                try netlink.attach(filter, to: left, program: program.raw)
            }
            #expect(try netlink.filters(on: left, .ingress) == [inside])
            #expect(try netlink.filters(on: left, .egress) == [outside])
            #expect(try Oracle.words(left, .ingress) == ["all 10 0x7 forwarder:tailnet_ingress true"])
            #expect(try Oracle.words(left, .egress) == ["all 65535 0x1 forwarder:guard true"])
        }
    }

    @Test func `a place that is taken is kept, or replaced by who asks for that, and nothing else`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try hookedLink(netlink)
            let first = try program(0)
            let second = try program(2)
            try netlink.attach(inside, to: left, program: first.raw)
            let neighbour = Filter("someone:else", .ingress, priority: 10, handle: 8)
            try netlink.attach(neighbour, to: left, program: first.raw)
            let successor = Filter("forwarder:successor", .ingress, priority: 10, handle: 7)
            let refusal = #expect(throws: KernelError.self) {
                try netlink.attach(successor, to: left, program: second.raw)
            }
            #expect(refusal?.errno == .fileExists)
            try netlink.replace(successor, on: left, program: second.raw)
            #expect(try Set(netlink.filters(on: left, .ingress)) == [successor, neighbour])
        }
    }

    @Test func `the program attached is the one that decides`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try hookedLink(netlink)
            try answer("ip link set right up")
            try answer("ip link set left up")
            try answer("ip addr add 10.0.0.2/24 dev left")
            try answer("ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:09 dev left")
            func receivedAfterPing() throws -> UInt64 {
                struct Counters: Decodable {
                    struct Stats: Decodable { let rx: [String: UInt64] }
                    let stats64: Stats
                }
                // Nobody answers; what counts is that a packet crossed.
                try answer("ping -c 1 -W 0.1 10.0.0.1 > /dev/null 2>&1 || true")
                return try #require(
                    try answer("ip -j -s link show right", as: [Counters].self).first?.stats64.rx["bytes"])
            }
            let drop = try program(2)  // TC_ACT_SHOT
            try netlink.attach(outside, to: left, program: drop.raw)
            let before = try receivedAfterPing()
            #expect(try receivedAfterPing() == before)
            try netlink.detach(outside, from: left)
            #expect(try receivedAfterPing() > before)
        }
    }

    @Test func `what is detached is gone, and what is gone is no error but told`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try hookedLink(netlink)
            let program = try program()
            try netlink.attach(inside, to: left, program: program.raw)
            #expect(try netlink.detach(inside, from: left))
            #expect(try netlink.filters(on: left, .ingress).isEmpty)
            #expect(try !netlink.detach(inside, from: left), "no program")
            try netlink.removeClsact(from: left)
            #expect(try !netlink.detach(inside, from: left), "no hook")
            try answer("ip link delete left")
            #expect(try !netlink.detach(inside, from: left), "no link")
        }
    }

    @Test func `a filter that is no program is listed without a name`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try hookedLink(netlink)
            try answer("tc filter add dev left ingress prio 3 u32 match u32 0 0 classid 1:1")
            let filters = try netlink.filters(on: left, .ingress)
            #expect(!filters.isEmpty)
            #expect(filters.allSatisfy { $0.name.isEmpty && $0.priority == 3 })
        }
    }

    @Test func `hooks that are there stay with what is attached to them, and take all with them when they go`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try hookedLink(netlink)
            let program = try program()
            try netlink.attach(inside, to: left, program: program.raw)
            try netlink.addClsact(to: left)
            #expect(try netlink.filters(on: left, .ingress) == [inside])
            try netlink.removeClsact(from: left)
            #expect(try netlink.filters(on: left, .ingress).isEmpty)
            let refusal = #expect(throws: KernelError.self) { try netlink.removeClsact(from: left) }
            #expect([.noSuchFileOrDirectory, .invalidArgument].contains(refusal?.errno))
        }
    }

    @Test func `an ingress that is there takes programs, and is not taken away`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            try makeVethPair()
            let left = try #require(try netlink.link(named: "left"))
            try answer("tc qdisc add dev left ingress")
            try netlink.addClsact(to: left)
            let program = try program()
            try netlink.attach(inside, to: left, program: program.raw)
            #expect(try Oracle.words(left, .ingress) == ["all 10 0x7 forwarder:tailnet_ingress true"])
            #expect(try netlink.detach(inside, from: left))
            let refusal = #expect(throws: KernelError.self) { try netlink.removeClsact(from: left) }
            #expect([.noSuchFileOrDirectory, .invalidArgument].contains(refusal?.errno))
            struct Qdisc: Decodable { let kind: String }
            #expect(try answer("tc -j qdisc show dev left", as: [Qdisc].self).contains { $0.kind == "ingress" })
        }
    }

    @Test func `what is no program of the right type is refused by name`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try hookedLink(netlink)
            let file = OwnedDescriptor(unsafe open("/dev/null", O_RDONLY | O_CLOEXEC))
            let refusal = #expect(throws: KernelError.self) { try netlink.attach(inside, to: left, program: file.raw) }
            #expect(refusal?.description == "RTM_NEWTFILTER left forwarder:tailnet_ingress: Invalid argument")
            #expect(try netlink.filters(on: left, .ingress).isEmpty)
        }
    }
}
