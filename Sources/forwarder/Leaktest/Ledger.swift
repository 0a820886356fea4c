import Lab

/// Which probe is whose, and what was seen of each: the rows of a report as they grow.
///
/// A probe counts to the state in which it was sent, whenever it is seen; what nobody sent as a probe counts to the state in
/// which it is seen.
struct Ledger {
    private struct Probe {
        let row: Int
        let kind: Flow.Kind
        var isOnUplink = false
        var isOnVPN = false
    }

    private(set) var rows: [LeaktestReport.Row] = []
    private var probes: [UInt32: Probe] = [:]
    private var numbersByDestination: [String: UInt32] = [:]
    private var nextNumber: UInt32
    private let lab: LeakLab

    private var state = ""
    private var circumstances = Circumstances()
    private var firstRow = 0
    private var chatterRow = 0
    private var strayRow = 0
    private var sentByChatter = 0
    /// Before its cure: the circumstances hold.
    var isDuring = false

    /// - Parameter firstNumber: of the nonces.
    init(of lab: LeakLab, from firstNumber: UInt32) {
        self.lab = lab
        nextNumber = firstNumber
    }

    static let chatter = "client, without pause"
    static let strays = "anything else"

    mutating func open(_ state: String, _ circumstances: Circumstances) {
        self.state = state
        self.circumstances = circumstances
        isDuring = true
        firstRow = rows.count
        chatterRow = addRow(Self.chatter, circumstances.node == .absent ? .uplink : circumstances.placeOfChatter)
        strayRow = addRow(Self.strays, .nowhere)
    }

    /// One probe of each flow and family, all at once.
    mutating func fire(_ flows: [Flow]) throws(LabFailure) {
        var volley = Volley(in: lab)
        for flow in flows {
            let row =
                rows[firstRow...].firstIndex { $0.flow == flow.name }
                ?? addRow(flow.name, circumstances.place(of: flow))
            for family in flow.families {
                let nonce = Nonce(number: nextNumber)
                nextNumber += 1
                probes[nonce.number] = Probe(row: row, kind: flow.kind)
                if let destination = flow.destination?(nonce) {
                    numbersByDestination[family.of(destination)] = nonce.number
                }
                flow.load(&volley, nonce, family)
                rows[row].probes += 1
            }
        }
        try volley.fire(in: lab)
    }

    /// Whether each probe of the state is where it ends, as far as that is somewhere.
    var isComplete: Bool { rows[firstRow...].allSatisfy { $0.missing == 0 } }

    /// What came to the uplink of the client without pause, in this state.
    var seenOfChatter: Int { rows[chatterRow].uplink }

    private mutating func addRow(_ flow: String, _ expected: Place) -> Int {
        rows.append(
            .init(state: state, flow: flow, probes: 0, expected: expected, uplink: 0, vpn: 0, leaked: 0))
        return rows.count - 1
    }
}

// MARK: What is seen

extension Ledger {
    /// Judges what came since the last time.
    mutating func take() {
        let sent = lab.chatter.sent
        rows[chatterRow].probes += sent - sentByChatter
        sentByChatter = sent
        for (trace, count) in lab.uplink.take() { sawOnUplink(trace, count) }
        for (trace, count) in lab.vpn.take() { sawOnVPN(trace, count) }
        for (trace, count) in lab.tailnet.take() { sawOnTailnet(trace, count) }
    }

    private func number(of trace: Trace) -> UInt32? {
        if let number = trace.nonce?.number, probes[number] != nil { return number }
        return numbersByDestination[trace.sighting.destination]
    }

    private mutating func sawOnUplink(_ trace: Trace, _ count: Int) {
        guard let number = number(of: trace), let probe = probes[number] else {
            return sawStrangerOnUplink(trace.sighting, count)
        }
        if !probe.isOnUplink { rows[probe.row].uplink += 1 }
        probes[number]?.isOnUplink = true
        switch probe.kind {
        case .control, .unmarkedControl, .controlNames: break
        case .client, .impostor, .names, .markedNames, .stubNames, .unsolicited: leak(probe.row, count)
        }
    }

    private mutating func sawStrangerOnUplink(_ sighting: Sighting, _ count: Int) {
        if isToInternet(sighting) {
            rows[chatterRow].uplink += count
            return leak(chatterRow, count)
        }
        guard !sighting.isHousekeeping, !lab.isEncapsulation(sighting) else { return }
        rows[strayRow].probes += count
        rows[strayRow].uplink += count
        leak(strayRow, count)
    }

    private mutating func sawOnVPN(_ trace: Trace, _ count: Int) {
        let isTranslated = lab.isOfExit(trace.sighting)
        guard let number = number(of: trace), let probe = probes[number] else {
            if isToInternet(trace.sighting) {
                rows[chatterRow].vpn += count
                if !isTranslated { leak(chatterRow, count) }
            } else if !isTranslated, !trace.sighting.isHousekeeping {
                rows[strayRow].probes += count
                rows[strayRow].vpn += count
                leak(strayRow, count)
            }
            return
        }
        if !probe.isOnVPN, !trace.sighting.isControlError {
            rows[probe.row].vpn += 1
            probes[number]?.isOnVPN = true
        }
        switch probe.kind {
        case .unmarkedControl where rows[probe.row].expected == .vpn: break
        case .control, .unmarkedControl, .controlNames: leak(probe.row, count)
        case .client, .impostor:
            // Where nobody may forward, whoever does is not us. What a node had taken before may come late.
            // The host's own word to somebody, that it was refused, is no client's.
            let isForbidden = rows[probe.row].expected == .nowhere && isDuring && rows[probe.row].state == state
            if isForbidden && !trace.sighting.isControlError || !isTranslated { leak(probe.row, count) }
        case .names, .markedNames, .stubNames, .unsolicited: if !isTranslated { leak(probe.row, count) }
        }
    }

    private mutating func sawOnTailnet(_ trace: Trace, _ count: Int) {
        guard let number = number(of: trace), let probe = probes[number], probe.kind == .unsolicited else { return }
        leak(probe.row, count)
    }

    /// With nothing of ours anywhere there is nothing to leak out of.
    private mutating func leak(_ row: Int, _ count: Int) {
        if circumstances.node != .absent { rows[row].leaked += count }
    }

    private func isToInternet(_ sighting: Sighting) -> Bool {
        [lab.lab.internetAddress.v4, lab.lab.internetAddress.v6].contains(sighting.destination)
    }
}
