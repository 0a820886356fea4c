extension Probe {
    static let controlSocket = Probe(
        "control_socket", "Does a node answer on the control socket, or can one be made there?", worst: .error
    ) { surroundings in
        let path = surroundings.settings.controlSocket
        switch surroundings.presence {
        case .running: return .ok("the node that runs answers on \(path)")
        case .silent(let refusal):
            return .note(
                "somebody listens on \(path), and \(refusal.because)", remedy: refusal.remedy ?? "look at its log")
        case .nobody:
            return ControlPath.obstacle(at: path).map { .error($0) } ?? .ok("\(path) can be made")
        }
    }
}
