import Lab

/// Something that is measured, alike for every variant.
///
/// To add one: its value, beside `TCPScenarios.swift`, and the value's name in `all`.
struct Scenario: Sendable {
    enum Better: String, Codable { case higher, lower }

    let name: String
    let unit: String
    let better: Better
    let lab: LabKind
    let variants: [Variant]
    /// Takes so many seconds on a lab in which nobody forwards, before and after.
    let measure: @Sendable (_ lab: any Lab, _ variant: Variant, _ seconds: Int) throws(LabFailure) -> Variant.Sample

    static let all = [tcpBulk, tcpWireGuard, start, interfaceBack, residentMemory, idle]
}

/// Who forwards while something is measured. The raw values are the names in `bench --json`.
enum Variant: String, Sendable {
    /// The kernel's routing and bare nftables masquerade: what the others are compared to.
    case kernel
    /// The same with Tailscale's and Gluetun's rules in place, as people run it.
    case kernelDeployed = "kernel_deployed"
    /// Ours, with this packet I/O.
    case uring, poll

    struct Sample {
        /// In the scenario's unit.
        let value: Double
        /// What the forwarder used meanwhile; the kernel's own forwarding is charged to whoever sends.
        let processorSeconds: Double?
    }

    /// Forwards on the lab's node while the body measures, and leaves the node as it was.
    func forward(
        in lab: any Lab, _ body: (any Lab) throws(LabFailure) -> Double
    ) throws(LabFailure) -> Sample {
        switch self {
        case .kernel:
            try lab.enableKernelRouting()
            let value = try body(lab)
            try lab.disableKernelRouting()
            return Sample(value: value, processorSeconds: nil)
        case .kernelDeployed:
            let deployment = try Deployment(on: lab)
            let sample = try Variant.kernel.forward(in: lab, body)
            try deployment.takeAway()
            return sample
        case .uring, .poll:
            let forwarder = try ForwarderProcess(on: lab, ["--io", rawValue])
            let before = try forwarder.processorSeconds()
            let value = try body(lab)
            let used = try forwarder.processorSeconds() - before
            try forwarder.giveBack()
            return Sample(value: value, processorSeconds: used)
        }
    }
}
