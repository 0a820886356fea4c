import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

extension LabHost {
    /// What `forwarder doctor` says here. An error that it finds is an answer too, with an exit code of its own.
    func doctor(
        _ arguments: [String] = [], behind wrapper: [String] = [], capabilities: Capabilities? = [.netAdmin, .bpf]
    ) throws -> DoctorReport {
        let child = try start(
            wrapper + ["env", "-u", "FORWARDER_CONTROL_SOCKET", Binary.path.path, "doctor", "--json"] + arguments,
            capabilities: capabilities)
        let ending = child.wait(upTo: .seconds(20))
        let report = try DoctorReport(json: Data(child.standardOutput.utf8))
        #expect(ending == .exited(report.ok ? 0 : 1), "\(child.standardError)")
        return report
    }
}
