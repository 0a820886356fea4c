import Foundation
import Glibc
import Lab
import LinuxSystem
import TestSupport
import Testing

/// The picture of docs/monitor.svg: a real monitor beside a real node, whose client downloads under a rate. `scripts/screenshot`
/// makes it, in about a minute.
@Suite("The monitor's screenshot") struct ScreenshotTests {
    private static let file = ProcessInfo.processInfo.environment["SCREENSHOT"]

    @Test("is a monitor's own screen", .labCanBeBuilt, .enabled(if: file != nil || isSoak, "takes a minute: make soak"))
    func screenshot() throws {
        let (columns, rows) = (100, 26)
        let lab = try WireGuardLab()
        try lab.node.run(["mkdir", Bill.directory])
        let node = try lab.startNode(cap: "6GB", ["--cap-stages", "1% rate 40Mbit/s, 90% stop"])
        // What the node itself would send by its line at home, unmarked, its guard refuses.
        _ = try? lab.node.run(["ping", "-c", "3", "-W", "1", "-I", "eth0", lab.internetAddress.v4])
        // Until the rate holds.
        try lab.move(32_000_000)
        let terminal = try PseudoTerminal(columns: columns, rows: rows)
        let monitor = try terminal.start([Binary.path.path, "monitor"], on: lab.node)
        func load(_ direction: Bulk.Direction, flows: Int, at address: String, port: UInt16) throws -> Bulk {
            try Bulk(.tcp, direction, flows: flows, client: lab.client, server: lab.internet, at: address, port: port)
        }
        // In all longer than it takes until the tunnel is looked at again, which then has had a handshake.
        for (seconds, direction) in [(8, .download), (3, .upload), (10, .download), (7, .upload)]
            as [(UInt32, Bulk.Direction)]
        {
            let passing = try load(direction, flows: 3, at: lab.internetAddress.v4, port: 443)
            sleep(seconds)
            withExtendedLifetime(passing) {}
            sleep(2)
        }
        let download = try load(.download, flows: 4, at: lab.internetAddress.v4, port: 443)
        let upload = try load(.upload, flows: 1, at: lab.internetAddress.v6, port: 993)
        sleep(6)
        try eventually { terminal.screen.text.contains("peak") && terminal.screen.rows.keys.max() == rows }
        let screen = terminal.screen
        terminal.type("q")
        #expect(monitor.wait(upTo: .seconds(5)) == .exited(0), "\(monitor.standardError)")
        #expect(screen.text.contains("443"))
        #expect(!screen.text.contains(lab.clientAddress.v4) && !screen.text.contains(lab.internetAddress.v4))
        let drawing = Drawing(screen, columns: columns, rows: rows)
        if let file = Self.file { try drawing.text.write(toFile: file, atomically: true, encoding: .utf8) }
        withExtendedLifetime((node, download, upload)) {}
    }
}
