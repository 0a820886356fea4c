import Lab
import Node

/// The demo: what a person wants to have seen before they trust it with their traffic.
func playDemo(bytes: Int) throws(LabFailure) -> DemoReport {
    Output.say("scene 1 of 6: a client, a node, an internet, and \(bytesText(UInt64(bytes))) to carry")
    let plain = try playPlainEdges(bytes: bytes)
    Output.say("scene 2 of 6: the same way, forwarded by the kernel and by us in turns")
    let speeds = attempt { () throws(LabFailure) in try playBesideTheKernel(plain.status.io) }
    Output.say("scene 3 of 6: a WireGuard tunnel on both sides, a provider in between")
    let (exits, wireGuard) = try playWireGuard(bytes: bytes / 10)
    Output.say("scene 4 of 6: the VPN dies in the middle of a download, and the line at home is watched")
    let separation = attempt { () throws(LabFailure) in
        try Separation(losingTheVPN: WireGuardLab(), bytes: max(bytes / 10, 20_000_000))
    }
    if let separation { Output.say("  \(separation.sentence)") }
    Output.say("scene 5 of 6: a cap of \(Capped.cap), and a client that downloads until it is stopped")
    let capped = attempt { () throws(LabFailure) in try Capped(in: WireGuardLab()) }
    if let capped { Output.say("  \(capped.sentence)") }
    Output.say("scene 6 of 6: what `forwarder monitor` shows while a client downloads")
    let sight = attempt { () throws(LabFailure) in try Sight(in: WireGuardLab()) }
    return DemoReport(
        plain: plain, wireGuard: wireGuard, exits: exits, separation: separation, capped: capped, sight: sight,
        speeds: speeds)
}

// MARK: Scenes

private func playPlainEdges(bytes: Int) throws(LabFailure) -> Carried {
    let lab = try LabKind.plain.make()
    let forwarder = try ForwarderProcess(on: lab)
    return try Carried(bytes, through: forwarder, in: lab)
}

private func playWireGuard(bytes: Int) throws(LabFailure) -> (Exits, Carried) {
    let lab = try LabKind.wireGuard.make()
    let forwarder = try ForwarderProcess(on: lab)
    let exits = try Exits(in: lab)
    return (exits, try Carried(bytes, through: forwarder, in: lab))
}

/// In 10^9 bits of payload per second, in three short rounds.
struct Speeds {
    let ours, kernel: Spread
}

private func playBesideTheKernel(_ io: StatusReport.IO) throws(LabFailure) -> Speeds {
    let ours: Variant = io == .uring ? .uring : .poll
    let measured = try Measurement(
        of: .tcpBulk, variants: [.kernel, ours], rounds: 3, seconds: 2, told: Output.say)
    let values = measured.figures.map(\.values)
    return Speeds(ours: values[1], kernel: values[0])
}

// MARK: What is proven

/// What one node carried: half of the bytes up over IPv4, the other half down over IPv6.
struct Carried {
    let bytes: UInt64
    let isWhole: Bool
    let isWholeOverIPv6: Bool
    let status: StatusReport
    let busiest: [FlowsReport.Flow]
}

extension Carried {
    fileprivate init(_ bytes: Int, through forwarder: ForwarderProcess, in lab: any Lab) throws(LabFailure) {
        let half = (bytes + 1) / 2
        let up = transfer(.upload, half, in: lab, to: lab.internetAddress.v4)
        let down = transfer(.download, half, in: lab, to: lab.internetAddress.v6)
        self.bytes = UInt64((up?.bytes ?? 0) + (down?.bytes ?? 0))
        isWholeOverIPv6 = down?.proves(half) ?? false
        isWhole = isWholeOverIPv6 && up?.proves(half) ?? false
        status = try forwarder.ask(["status"])
        busiest = try forwarder.ask(["flows", "--top", "4"], for: FlowsReport.self).flows
        forwarder.stop()
    }
}

extension Transfer {
    /// All of them arrived, and as they were sent.
    fileprivate func proves(_ bytes: Int) -> Bool { isIntact && self.bytes == bytes }
}

private func transfer(
    _ direction: Transfer.Direction, _ bytes: Int, in lab: any Lab, to address: String
) -> Transfer? {
    attempt { () throws(LabFailure) in
        let done = try Transfer(direction, bytes: bytes, client: lab.client, server: lab.internet, at: address)
        let way = direction == .upload ? "from the client to" : "to the client from"
        let verdict = done.proves(bytes) ? "the same SHA-256 at both ends" : "NOT what was sent"
        let seconds = decimalText(done.seconds, places: 1)
        Output.say("  \(bytesText(UInt64(done.bytes))) \(way) \(address) in \(seconds) s: \(verdict)")
        return done
    }
}

/// With which addresses the internet saw the client.
struct Exits {
    struct Exit {
        let expected: String
        /// Over TCP and over UDP: one address, if all is well.
        let seen: String

        var isRight: Bool { seen == expected }
    }

    let v4, v6: Exit
}

extension Exits {
    fileprivate init(in lab: any Lab) throws(LabFailure) {
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        v4 = Exit(expected: lab.seenAddress.v4, seen: addressSeen(at: lab.internetAddress.v4, from: lab.client))
        v6 = Exit(expected: lab.seenAddress.v6, seen: addressSeen(at: lab.internetAddress.v6, from: lab.client))
        _ = consume echo
    }
}

/// Empty where the internet did not see the client over both TCP and UDP.
private func addressSeen(at server: String, from client: LabHost) -> String {
    let seen = attempt { () throws(LabFailure) in
        let echo = EchoClient(on: client, to: server)
        let addresses = Set([addressPart(try echo.endpointSeenOverTCP()), addressPart(try echo.endpointSeenOverUDP())])
        return addresses.sorted().joined(separator: ", ")
    }
    if let seen { Output.say("  \(server) saw the client as \(seen)") }
    return seen ?? ""
}

/// `192.0.2.1` of `192.0.2.1:80`, `2001:db8::1` of `[2001:db8::1]:80`.
private func addressPart(_ endpoint: String) -> String {
    let host = endpoint.lastIndex(of: ":").map { endpoint[..<$0] } ?? endpoint[...]
    return String(host.drop { $0 == "[" }.prefix { $0 != "]" })
}

/// A step whose failure is part of the answer: told at once, and the demo goes on.
private func attempt<Value>(_ body: () throws(LabFailure) -> Value) -> Value? {
    do throws(LabFailure) {
        return try body()
    } catch {
        Output.say("  \(error)")
        return nil
    }
}
