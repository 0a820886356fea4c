extension Probe {
    static let cgroup = Probe(
        "cgroup", "Is tailscaled's control plane marked by eBPF, or does its own mark carry it?", worst: .note
    ) { surroundings in
        judge(
            Result { () throws(TailscaledCgroup.Obstacle) in try TailscaledCgroup.find() },
            marking: surroundings.status?.controlPlaneMarking)
    }

    /// - Parameter marking: what the node says that runs.
    static func judge(
        _ found: Result<TailscaledCgroup, TailscaledCgroup.Obstacle>, marking: StatusReport.ControlPlaneMarking?
    ) -> Finding {
        let own = "tailscaled's own mark 0x80000 carries its control plane"
        switch (found, marking) {
        case (.success(let cgroup), .ebpf): return .ok("eBPF marks tailscaled's control plane, at \(cgroup.path)")
        case (.success(let cgroup), nil):
            return .ok("tailscaled, process \(cgroup.process), has \(cgroup.path) to itself: a node marks it by eBPF")
        case (.success(let cgroup), .tailscaled):
            return .note(
                "\(own): the node has no programs at \(cgroup.path)",
                remedy: "read why in its log, or start it again: forwarder run")
        case (.failure, .ebpf):
            return .ok("eBPF marks tailscaled's control plane, at a cgroup that is not visible to this process")
        case (.failure(let obstacle), _): return .note("\(own): \(obstacle.evidence)", remedy: obstacle.remedy)
        }
    }
}
