import Lab
import LinuxSystem

/// What a start asks of rtnetlink until it forwards, each by one sendmsg, counted from 1.
struct StartRequests {
    let count: Int
    /// Those that change something. Between two of them a start only looks, and the host stays as it is.
    let changes: [Int]

    init(on lab: any Lab) throws {
        let trace = "/run/requests"
        let node = try lab.node.start(
            ["strace", "-f", "-qq", "-o", trace, "-e", "trace=sendmsg", Binary.path.path, "run"],
            capabilities: [.netAdmin, .bpf, .sysPtrace])
        node.waitForForwarding()
        node.terminate()
        _ = try lab.node.run([Binary.path.path, "down"])
        let told = try lab.node.run(["cat", trace]).split(separator: "\n").filter { $0.contains(" sendmsg(") }
        // A line begins with its thread, and strace counts each thread's by themselves.
        let lines = told.filter { $0.prefix { $0 != " " } == told[0].prefix { $0 != " " } }
        count = lines.count
        changes = lines.indices.filter { lines[$0].contains("_type=RTM_NEW") || lines[$0].contains("_type=RTM_DEL") }
            .map { $0 + 1 }
    }
}

extension ChildProcess {
    /// Returns when it says that it forwards, or has ended, or half a minute has passed.
    func waitForForwarding() {
        for _ in 0..<6_000 where !standardError.contains("msg=forwarding ") {
            if wait(upTo: .milliseconds(5)) != nil { return }
        }
    }
}
