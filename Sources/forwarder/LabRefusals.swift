import FoundationEssentials
import Lab
import Node

// What a person is told when a verb needs a lab and there can be none.

extension Refusal {
    init(couldNot: String, _ failure: LabFailure) {
        self.init(couldNot: couldNot, because: "\(failure)", exitCode: .unavailable)
    }

    /// - Returns: nothing where everything is there.
    init?(couldNot: String, without missing: [Prerequisite]) {
        guard !missing.isEmpty else { return nil }
        var lacking: [String] = []
        var programs: [String] = []
        var packages: [String] = []
        for prerequisite in missing {
            switch prerequisite {
            case .capabilities(let capabilities): lacking.append("this process does not have \(capabilities)")
            case .program(let name, let package):
                programs.append(name)
                packages.append(package)
            }
        }
        let absent = programs.isEmpty ? [] : ["not installed: \(programs.joined(separator: ", "))"]
        let install = packages.isEmpty ? [] : ["apt-get install \(packages.joined(separator: " "))"]
        self.init(
            couldNot: couldNot, because: (lacking + absent).joined(separator: "; "),
            remedy: (install + (lacking.isEmpty ? [] : ["run it as root"])).joined(separator: ", then "),
            exitCode: lacking.isEmpty ? .unavailable : .notPermitted)
    }
}

/// Does what needs a lab, if there can be one.
func inLab<Value>(couldNot: String, _ body: () throws(LabFailure) -> Value) throws(Refusal) -> Value {
    if let refusal = Refusal(couldNot: couldNot, without: Prerequisite.missing) { throw refusal }
    do throws(LabFailure) {
        return try body()
    } catch {
        throw Refusal(couldNot: couldNot, error)
    }
}

extension ForwarderProcess {
    /// This very program, on the lab's node.
    convenience init(on lab: any Lab, _ arguments: [String] = []) throws(LabFailure) {
        try self.init(Self.ownPath, on: lab, arguments)
    }

    static var ownPath: String {
        let link = "/proc/self/exe"
        return (try? FileManager.default.destinationOfSymbolicLink(atPath: link)) ?? link
    }

    /// Ends it and leaves the node to its kernel, as it was before.
    func giveBack() throws(LabFailure) {
        stop()
        _ = try ask(["down"])
    }

    /// - Throws: also if the answer is not what a forwarder of this version answers.
    func ask<Answer: Report>(_ arguments: [String], for: Answer.Type = Answer.self) throws(LabFailure) -> Answer {
        let text = try ask(arguments + ["--json"])
        do {
            return try Answer(json: Data(text.utf8))
        } catch {
            throw LabFailure(couldNot: "understand \(arguments.joined(separator: " "))", because: "\(error) in \(text)")
        }
    }
}
