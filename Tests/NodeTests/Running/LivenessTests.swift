import Testing

@testable import Node

/// The rule, with a clock of the test's own.
struct LivenessTests {
    /// A tunnel, those who use it, and one look each quarter of `stale`.
    private struct Tunnel {
        var liveness = Liveness()
        var counts = Liveness.Counts(sent: 0, received: 0)
        var now = ContinuousClock.now
        let stale: Duration

        init(stale: Duration = .seconds(180)) {
            self.stale = stale
            look()
        }

        mutating func look() { liveness.look(counts, at: now, stale: stale) }

        /// Time goes on, look by look; before each, this many packets go in and come out.
        mutating func pass(looks: Int, sent: UInt64 = 0, received: UInt64 = 0, decrypted: UInt64 = 0) {
            for _ in 0..<looks {
                now += Liveness.interval(stale)
                counts.sent += sent
                counts.received += received
                if let octets = counts.decrypted { counts.decrypted = octets + decrypted }
                if case .ago(let age) = counts.handshake { counts.handshake = .ago(age + Liveness.interval(stale)) }
                look()
            }
        }

        var isStale: Bool { if case .stale = liveness.state { true } else { false } }
    }

    @Test("looks are a quarter of vpn_stale apart, and never more than one a second")
    func interval() {
        #expect(Liveness.interval(.seconds(180)) == .seconds(45))
        #expect(Liveness.interval(.seconds(2)) == .seconds(1))
    }

    @Test("sending for vpn_stale into silence is stale, not a look sooner, and one packet back ends it")
    func silence() {
        var tunnel = Tunnel()
        tunnel.pass(looks: 4, sent: 10)
        #expect(tunnel.liveness.state == .up, "the first of them saw the first packet: 135 s are known")
        tunnel.pass(looks: 1, sent: 10)
        #expect(tunnel.liveness.state == .stale(.nothingCameBack))
        tunnel.pass(looks: 10)
        #expect(tunnel.isStale, "nobody sends, and nobody has answered either")
        tunnel.pass(looks: 1, received: 1)
        #expect(tunnel.liveness.state == .up)
        tunnel.pass(looks: 4, sent: 1)
        #expect(tunnel.liveness.state == .up, "it begins anew")
    }

    @Test("an idle tunnel stays up, however long, and however old its handshake is")
    func idle() {
        for handshake in [Liveness.Handshake.unknown, .never, .ago(.seconds(90))] {
            var tunnel = Tunnel()
            tunnel.counts.decrypted = handshake == .unknown ? nil : 0
            tunnel.counts.handshake = handshake
            tunnel.pass(looks: 2_000)
            #expect(tunnel.liveness.state == .up, "\(handshake)")
        }
    }

    @Test("an idle tunnel that is used again has its time to shake hands")
    func wakes() {
        var tunnel = Tunnel()
        tunnel.counts.decrypted = 0
        tunnel.counts.handshake = .ago(.seconds(86_400))
        tunnel.pass(looks: 100)
        // The look falls between the first packet and the answer to the handshake.
        tunnel.pass(looks: 1, sent: 1)
        #expect(tunnel.liveness.state == .up)
        tunnel.counts.handshake = .ago(.zero)
        tunnel.pass(looks: 100, sent: 1, received: 1, decrypted: 92)
        #expect(tunnel.liveness.state == .up)
    }

    @Test("sending with a handshake older than the keys last is stale after a look")
    func oldHandshake() {
        for handshake in [Liveness.Handshake.ago(.seconds(150)), .never] {
            var tunnel = Tunnel()
            tunnel.counts.decrypted = 0
            tunnel.counts.handshake = handshake
            if handshake == .never { tunnel.pass(looks: 10) }
            tunnel.pass(looks: 1, sent: 1)
            #expect(tunnel.liveness.state == .up, "\(handshake)")
            tunnel.pass(looks: 1, sent: 1)
            #expect(tunnel.liveness.state == .stale(.handshakeIsOld), "\(handshake)")
        }
    }

    @Test("a handshake that is young enough for WireGuard is no reason, however short vpn_stale is")
    func shortStale() {
        var tunnel = Tunnel(stale: .seconds(4))
        tunnel.counts.decrypted = 0
        tunnel.counts.handshake = .ago(.seconds(100))
        // Renewed every two minutes while somebody sends.
        for _ in 0..<10 {
            tunnel.pass(looks: 2, sent: 1)
            tunnel.pass(looks: 1, sent: 1, decrypted: 32)
        }
        #expect(tunnel.liveness.state == .up)
        tunnel.pass(looks: 5, sent: 1)
        #expect(tunnel.liveness.state == .stale(.nothingCameBack))
    }

    @Test("keepalives alone prove that WireGuard lives, for clients that only send to the dead")
    func keepalives() {
        var tunnel = Tunnel()
        tunnel.counts.decrypted = 0
        tunnel.counts.handshake = .ago(.zero)
        for _ in 0..<20 {
            tunnel.counts.handshake = .ago(.seconds(60))
            tunnel.pass(looks: 1, sent: 3, decrypted: 32)
        }
        #expect(tunnel.liveness.state == .up)
        tunnel.pass(looks: 5, sent: 3)
        #expect(tunnel.isStale, "the control: without them it would have been")
    }

    @Test("a packet now and then to a dead host proves nothing")
    func nowAndThen() {
        var tunnel = Tunnel()
        for _ in 0..<50 {
            tunnel.pass(looks: 1, sent: 1)
            tunnel.pass(looks: 12)
        }
        #expect(tunnel.liveness.state == .up)
        // Pauses as between the attempts of a TCP connection: up to two looks.
        for _ in 0..<2 {
            tunnel.pass(looks: 1, sent: 1)
            tunnel.pass(looks: 2)
        }
        tunnel.pass(looks: 1, sent: 1)
        #expect(tunnel.isStale, "the control")
    }

    @Test("a machine that slept has not sent meanwhile")
    func sleep() {
        var tunnel = Tunnel()
        tunnel.pass(looks: 2, sent: 1)
        tunnel.now += .seconds(7_200)
        tunnel.pass(looks: 4, sent: 1)
        #expect(tunnel.liveness.state == .up)
        tunnel.pass(looks: 2, sent: 1)
        #expect(tunnel.isStale)
    }

    @Test("counts that begin anew, those of a new loop, are neither sent nor received")
    func counters() {
        var tunnel = Tunnel()
        tunnel.counts = .init(sent: 1_000, received: 1_000)
        tunnel.look()
        tunnel.counts = .init(sent: 0, received: 0)
        tunnel.pass(looks: 20)
        #expect(tunnel.liveness.state == .up)
        tunnel.pass(looks: 5, sent: 1)
        #expect(tunnel.isStale)
    }

    @Test("without an interface it is down, whatever is counted, until one is there")
    func down() {
        var tunnel = Tunnel()
        tunnel.pass(looks: 5, sent: 1)
        tunnel.liveness.lose(because: "there is no tun0")
        #expect(tunnel.liveness.state == .down(because: "there is no tun0"))
        tunnel.pass(looks: 5, sent: 1, received: 1)
        #expect(tunnel.liveness.state == .down(because: "there is no tun0"))
        tunnel.liveness.begin()
        #expect(tunnel.liveness.state == .up, "another one, of which nothing is known yet")
        tunnel.pass(looks: 5, sent: 1)
        #expect(tunnel.liveness.state == .up, "the first look is the beginning")
        tunnel.pass(looks: 1, sent: 1)
        #expect(tunnel.isStale)
    }
}
