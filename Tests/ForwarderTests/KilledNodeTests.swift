import Foundation
import Glibc
import Lab
import LinuxSystem
import Node
import TestSupport
import Testing

/// A node that is killed at any moment, again and again, while it carries traffic.
@Suite(.serialized, .labCanBeBuilt) struct KilledNodeTests {
    private static let kills = isSoak ? 500 : 5

    private let bill: Bill
    private var lab: WireGuardLab { bill.lab }

    init() throws { bill = try Bill() }

    private func start() throws -> ForwarderProcess {
        try ForwarderProcess(starting: Binary.path.path, on: lab, ["--cap", "1TB"] + Bill.uncapped)
    }

    /// Datagrams and connections that are echoed, until it is ended.
    private func startTraffic() throws -> ChildProcess {
        try lab.client.start(["python3", "-c", Self.traffic, lab.internetAddress.v4, "\(EchoServer.port)"])
    }

    private static let traffic = """
        import socket, sys, threading, time
        there = (sys.argv[1], int(sys.argv[2]))
        def datagrams():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setblocking(False)
            while True:
                for _ in range(8):
                    try: s.sendto(b'x' * 1000, there)
                    except OSError: pass
                try:
                    while s.recv(2000): pass
                except OSError: pass
                time.sleep(0.004)
        def connections():
            while True:
                try:
                    s = socket.create_connection(there, timeout=0.3)
                    for _ in range(8):
                        s.sendall(b'y' * 50000)
                        left = 50000
                        while left > 0: left -= len(s.recv(65536)) or left
                    s.close()
                except OSError: time.sleep(0.02)
        threading.Thread(target=datagrams, daemon=True).start()
        connections()
        """

    @Test("killed under traffic again and again, it counts what the far end does")
    func exact() throws {
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        var node = try start()
        try node.awaitForwarding()
        let before = try bill.excess()
        let begin = try bill.truth()
        let traffic = try startTraffic()
        for kill in 1...Self.kills {
            // Some do not live to forward; on a busy machine that may take longer than is waited.
            if kill % 4 != 0 { try? node.awaitForwarding() }
            usleep(.random(in: 0...200_000))
            try node.kill()
            node = try start()
        }
        try node.awaitForwarding()
        usleep(300_000)
        traffic.terminate()
        let apart = try bill.excess() - before
        #expect(apart == 0)
        let report = try lab.quota()
        let moved = try bill.truth() - begin
        print("figure: \(Self.kills) kills, \(moved) bytes, \(apart) apart")
        #expect(report.chargedBytes == 0 && report.notes.isEmpty, "\(report)")
        #expect(moved > Int64(Self.kills) * 100_000, "there was traffic: \(moved)")
        #expect(node.stop() == .exited(0))
        withExtendedLifetime(echo) {}
    }
}
