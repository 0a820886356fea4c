extension Probe {
    static let node = Probe("node", "Does a node run, or is something left of one?", worst: .warning) { surroundings in
        let socket = surroundings.settings.controlSocket
        switch surroundings.presence {
        case .running(let status): return .ok("a node runs, process \(status.pid), \(status.state.rawValue)")
        case .silent(let refusal): return .notAsked("a node listens on \(socket), and \(refusal.because)")
        case .nobody(.nothing): return .ok("no node runs, and nothing is left of one")
        case .nobody(let left):
            let refusal = Refusal(nobodyAnswersOn: socket, leaving: left)
            return .warning(refusal.because, remedy: refusal.remedy ?? "")
        }
    }
}
