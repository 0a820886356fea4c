/// Where packets go, as two observers see it.
enum Place: String, Codable { case uplink, vpn, nowhere }

/// What a node can do, and what its surroundings are, as far as it decides where packets go.
struct Circumstances: Sendable {
    enum Node: Sendable {
        /// Nothing of ours anywhere.
        case absent
        /// Rules, routes and programs, and no process.
        case guarded
        /// A process that is not ready yet.
        case starting
        case running
        /// Programs that still mark, and nobody who moves a packet.
        case frozen
        /// The same as guarded, after it ran.
        case dead
    }

    var node = Node.running
    var vpnIsUp = true
    /// And table 51 leads to it, which the VPN's own packets need, too.
    var uplinkIsUp = true
    var tailnetIsUp = true

    /// Where probes of the flow end. Less than that may arrive, as long as nothing is learnt; elsewhere nothing may.
    func place(of flow: Flow) -> Place {
        let vpn = vpnIsUp && uplinkIsUp ? Place.vpn : .nowhere
        let marks = node == .running || node == .frozen
        let control = uplinkIsUp ? Place.uplink : .nowhere
        let runs = node == .running || node == .starting
        if node == .absent {
            return [.controlNames, .stubNames, .unsolicited].contains(flow.kind) ? .nowhere : .uplink
        }
        switch flow.kind {
        case .control: return control
        // What nobody marks goes with the host's own: docs/decisions/0015.
        case .unmarkedControl: return marks && tailnetIsUp ? control : vpn
        case .controlNames: return runs ? control : .nowhere
        case .client: return runs && tailnetIsUp ? vpn : .nowhere
        case .names: return vpn
        case .markedNames: return marks || node == .starting ? vpn : .nowhere
        case .stubNames: return runs ? vpn : .nowhere
        case .impostor, .unsolicited: return .nowhere
        }
    }

    /// Where the client's echoes go.
    var placeOfChatter: Place { node == .running && tailnetIsUp && vpnIsUp && uplinkIsUp ? .vpn : .nowhere }
}
