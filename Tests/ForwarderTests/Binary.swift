import Foundation

/// The built `forwarder`: the one that `TESTED_BINARY` names, or that beside the tests that run.
enum Binary {
    struct Ending {
        let code: Int32
        let out: String
        let err: String

        /// The one object on stdout, if stdout is exactly that.
        var object: [String: Any]? {
            guard out.hasSuffix("\n"), !out.dropLast().contains("\n") else { return nil }
            return try? JSONSerialization.jsonObject(with: Data(out.utf8)) as? [String: Any]
        }
    }

    static let path =
        ProcessInfo.processInfo.environment["TESTED_BINARY"].map { URL(filePath: $0) }
        ?? URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "forwarder")

    /// Runs it with no `FORWARDER_` variable but those given.
    static func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Ending {
        let inherited = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("FORWARDER_") }
        return try run(path, arguments, inherited.merging(environment) { $1 })
    }

    /// Runs a line of shell in which `$forwarder` is the binary.
    static func shell(_ line: String) throws -> Ending {
        try run(URL(filePath: "/bin/bash"), ["-c", line], ["forwarder": path.path, "PATH": "/usr/bin:/bin"])
    }

    private static func run(_ file: URL, _ arguments: [String], _ environment: [String: String]) throws -> Ending {
        let process = Process()
        process.executableURL = file
        process.arguments = arguments
        process.environment = environment
        let (out, err) = (Pipe(), Pipe())
        process.standardOutput = out
        process.standardError = err
        try process.run()
        // One after the other is enough: what is said on stderr always fits the pipe.
        let told = String(decoding: out.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let said = String(decoding: err.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return Ending(code: process.terminationStatus, out: told, err: said)
    }
}
