import Lab
import LinuxNetwork
import LinuxSystem
import TestSupport
import Testing

@testable import Steering

@Suite(.enabled(if: Prerequisite.missing.isEmpty, "the lab needs root and its programs"))
struct TCXProgramTests {
    @Test func `what others attached is listed at its hook, in its order, with the link that holds it`() throws {
        let host = try LabHost(named: "host")
        try host.ip("link add left type veth peer name right")
        func attach(_ place: ForeignProgram.Place) throws -> ForeignProgram {
            try host.namespace.run { () throws(KernelError) in try ForeignProgram(at: "left", place) }
        }
        func listed(_ direction: Filter.Direction) throws -> [TCXProgram] {
            try host.namespace.run { () throws(KernelError) in
                guard let left = try Netlink().link(named: "left") else { return [] }
                return try TCXProgram.all(on: left, direction)
            }
        }
        #expect(try listed(.ingress) == [])
        let programs = try [attach(.tcxIngress), attach(.tcxIngress), attach(.tcxEgress)]
        let ingress = try listed(.ingress)
        #expect(ingress.count == 2 && Set(ingress.map(\.link)).count == 2)
        #expect(try listed(.egress).count == 1)
        // bpftool as the oracle: the first link holds the first program.
        for program in ingress {
            let link = try #require(program.link)
            #expect(try host.run(["bpftool", "link", "show", "id", "\(link)"]).contains("prog \(program.number)"))
        }
        try host.run(["bpftool", "link", "detach", "id", "\(ingress[0].link ?? 0)"])
        #expect(try listed(.ingress) == [ingress[1]])
        withExtendedLifetime(programs) {}
    }
}
