import Lab

enum Family: CaseIterable, Sendable {
    case v4, v6

    func of(_ pair: DualStack) -> String { self == .v4 ? pair.v4 : pair.v6 }
}

/// Probes that are sent at once.
struct Volley {
    var fromClient: [Family: [[UInt8]]] = [:]
    var fromServer: [Family: [[UInt8]]] = [:]
    var byTailscaled: [TailscaledProcess.Deed] = []
    let addresses: Addresses

    struct Addresses {
        let client, exit, home, gateway: DualStack
    }

    init(in lab: LeakLab) {
        addresses = Addresses(
            client: lab.lab.clientAddress, exit: lab.lab.exitAddress, home: lab.lab.homeAddress,
            gateway: LeakLab.gateways)
    }

    func fire(in lab: LeakLab) throws(LabFailure) {
        for family in Family.allCases {
            // The way out of the hop; each packet brings its own destination.
            try lab.lab.client.sendRaw(fromClient[family] ?? [], to: family.of(lab.lab.internetAddress))
            try lab.lab.server.sendRaw(fromServer[family] ?? [], to: family.of(lab.lab.exitAddress))
        }
        for deed in byTailscaled { try lab.tailscaled.perform(deed) }
    }
}
