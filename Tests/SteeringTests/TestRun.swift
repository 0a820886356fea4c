import CBPF
import DataPlane
import LinuxNetwork
import LinuxSystem
import PacketParse
import SystemPackage

@testable import Steering

/// What a tc program may answer, by the kernel's numbers (<linux/pkt_cls.h>).
enum Action: UInt32 {
    case pass = 0
    case drop = 2
    case redirect = 7
}

/// What became of one packet: the program's answer, and the one counter that rose.
struct Outcome: Equatable, CustomStringConvertible {
    let verdict: String
    let action: Action?

    var description: String { "\(verdict), \(action.map { "\($0)" } ?? "unknown action")" }

    static func redirected(_ verdict: String) -> Outcome { Outcome(verdict: verdict, action: .redirect) }
    static func passed(_ verdict: String) -> Outcome { Outcome(verdict: verdict, action: .pass) }
    static func dropped(_ verdict: String) -> Outcome { Outcome(verdict: verdict, action: .drop) }
}

extension Steering {
    /// Has the kernel run a program on a frame (BPF_PROG_TEST_RUN). Frames have Ethernet headers there, always.
    borrowing func run(_ program: Program, on frame: Octets) throws -> Outcome {
        let before = try verdicts()
        var options = unsafe bpf_test_run_opts()
        unsafe options.sz = MemoryLayout<bpf_test_run_opts>.size
        unsafe options.data_size_in = UInt32(frame.count)
        let descriptor = loaded(program).descriptor
        let answer = unsafe frame.withUnsafeBytes { bytes in
            unsafe options.data_in = bytes.baseAddress
            return unsafe bpf_prog_test_run_opts(descriptor, &options)
        }
        try check("BPF_PROG_TEST_RUN", "\(program)", answer)
        let risen = try zip(verdicts(), before).filter { $0.packets != $1.packets }.map(\.0.name)
        return Outcome(verdict: risen.joined(separator: " and "), action: Action(rawValue: unsafe options.retval))
    }
}

/// Two Ethernet edges, and an exit address of either family. The loopback device stands for all interfaces: a test run
/// answers before it would redirect.
let crafted = Ways(
    tailnet: Ways.Edge(index: 1, isEthernet: true), vpn: Ways.Edge(index: 1, isEthernet: true), insidePort: 1,
    outsidePort: 1, exitIPv4: IPAddress("203.0.113.5"), exitIPv6: IPAddress("2001:db8:5::5"))

extension Steering {
    /// The writer that the product uses.
    borrowing func bindings() -> LiveBindings {
        let memory = unsafe liveBindings
        return unsafe LiveBindings(
            tcpPorts: memory.tcpPorts, udpPorts: memory.udpPorts, queries: memory.queries, queryCount: memory.queryCount
        )
    }

    func count(of verdict: String) throws -> UInt64? { try verdicts().first { $0.name == verdict }?.packets }
}
