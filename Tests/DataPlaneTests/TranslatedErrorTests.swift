import PacketParse
import Testing

@testable import DataPlane

/// ICMP errors about packets of a flow, in both directions: the quote must read as the receiver sent it.
struct TranslatedErrorTests {
    /// How much of the packet a router quotes.
    enum Quote: CaseIterable, Sendable {
        case eightOctets, oddNumber, whole

        func of(_ packet: TestPacket) -> [UInt8] {
            let octets = packet.octets
            let header = octets.count - packet.transport.count
            return switch self {
            case .eightOctets: Array(octets.prefix(header + 8))
            case .oddNumber: Array(octets.prefix(header + 27))
            case .whole: octets
            }
        }
    }

    enum Kind: CaseIterable, Sendable {
        case tcp, udp, udpWithoutChecksum, echo, echoWithOptions

        func packet(_ source: [UInt8], _ port: UInt16, _ destination: [UInt8], isAnswer: Bool = false) -> TestPacket {
            let payload: [UInt8] = Array(1...31)
            switch self {
            case .tcp:
                return isAnswer
                    ? .tcp(from: source, 443, to: destination, port, payload: payload)
                    : .tcp(from: source, port, to: destination, 443, payload: payload)
            case .udp, .udpWithoutChecksum:
                let packet: TestPacket =
                    isAnswer
                    ? .udp(from: source, 443, to: destination, port, payload: payload)
                    : .udp(from: source, port, to: destination, 443, payload: payload)
                return packet.with { if self == .udpWithoutChecksum { $0.checksum = .absent } }
            case .echo:
                return .echo(from: source, to: destination, identifier: port, isReply: isAnswer, payload: payload)
            case .echoWithOptions:
                return Kind.echo.packet(source, port, destination, isAnswer: isAnswer).with {
                    $0.options = [0x94, 4, 0, 0]
                    $0.extensions = [(0, [0, 0, 5, 2, 0, 0, 1, 0])]
                }
            }
        }
    }

    private struct Ends {
        let client, remote, exit, router: [UInt8]

        init(isV4: Bool) {
            (client, remote, exit) = TestPacket.ends(isV4: isV4)
            router = isV4 ? TestPacket.router4 : TestPacket.router6
        }
    }

    @Test(arguments: Kind.allCases, [true, false])
    func `an error from a router on the way quotes what the client sent`(kind: Kind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        var translator = try Translator()
        let outside = try translator.open(kind.packet(ends.client, 5000, ends.remote).octets)
        for quote in Quote.allCases {
            let left = kind.packet(ends.exit, outside, ends.remote).with { $0.hopLimit = 63 }
            let error = TestPacket.unreachable(from: ends.router, to: ends.exit, quoting: quote.of(left))
            let sent = kind.packet(ends.client, 5000, ends.remote).with { $0.hopLimit = 63 }
            let expected = TestPacket.unreachable(from: ends.router, to: ends.client, quoting: quote.of(sent))
            let arrived = translator.ingress(error.octets)
            #expect(arrived == .forwarded(expected.with { $0.hopLimit = 63 }.octets), "\(quote)")
        }
    }

    @Test(arguments: Kind.allCases, [true, false])
    func `an error from the client quotes what the remote sent`(kind: Kind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        var translator = try Translator()
        let outside = try translator.open(kind.packet(ends.client, 5000, ends.remote).octets)
        for quote in Quote.allCases {
            let arrived = kind.packet(ends.remote, 5000, ends.client, isAnswer: true).with { $0.hopLimit = 63 }
            let error = TestPacket.unreachable(from: ends.client, to: ends.remote, quoting: quote.of(arrived))
            let sent = kind.packet(ends.remote, outside, ends.exit, isAnswer: true).with { $0.hopLimit = 63 }
            let expected = TestPacket.unreachable(from: ends.exit, to: ends.remote, quoting: quote.of(sent))
            let left = translator.egress(error.octets)
            #expect(left == .forwarded(expected.with { $0.hopLimit = 63 }.octets), "\(quote)")
        }
    }

    @Test(arguments: Kind.allCases, [true, false])
    func `an error from another node behind the client's has right checksums too`(kind: Kind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        var translator = try Translator()
        let outside = try translator.open(kind.packet(ends.client, 5000, ends.remote).octets)
        var hop = ends.client
        hop[hop.count - 1] = 77
        let arrived = kind.packet(ends.remote, 5000, ends.client, isAnswer: true).with { $0.hopLimit = 63 }
        let error = TestPacket.unreachable(from: hop, to: ends.remote, quoting: Quote.whole.of(arrived))
        let sent = kind.packet(ends.remote, outside, ends.exit, isAnswer: true).with { $0.hopLimit = 63 }
        let expected = TestPacket.unreachable(from: ends.exit, to: ends.remote, quoting: Quote.whole.of(sent))
        let left = translator.egress(error.octets)
        #expect(left == .forwarded(expected.with { $0.hopLimit = 63 }.octets))
    }

    @Test(arguments: [true, false])
    func `an error about no flow, or one that quotes no packet, is dropped`(isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        var translator = try Translator()
        let outside = try translator.open(Kind.tcp.packet(ends.client, 5000, ends.remote).octets)
        let strangers = [
            Kind.tcp.packet(ends.exit, outside &+ 1, ends.remote), Kind.udp.packet(ends.exit, outside, ends.remote),
            Kind.tcp.packet(ends.exit, outside, ends.router), Kind.tcp.packet(ends.router, outside, ends.remote),
            Kind.tcp.packet(ends.remote, outside, ends.exit, isAnswer: true),
        ]
        for stranger in strangers {
            let error = TestPacket.unreachable(from: ends.router, to: ends.exit, quoting: stranger.octets)
            let outcome = translator.ingress(error.octets)
            #expect(outcome == .dropped(.refused(.noFlow)))
        }
        let real = Kind.tcp.packet(ends.exit, outside, ends.remote).octets
        for length in 0..<(real.count - 31 - 12) {
            let error = TestPacket.unreachable(from: ends.router, to: ends.exit, quoting: Array(real.prefix(length)))
            let outcome = translator.ingress(error.octets)
            #expect(outcome.octets == nil)
        }
        // To another address than the exit's, an error is not ours, whatever it quotes.
        let misdirected = translator.ingress(
            TestPacket.unreachable(from: ends.router, to: ends.client, quoting: real).octets)
        #expect(misdirected == .dropped(.refused(.noFlow)))
    }

    @Test func `a redirect is not for a client behind us`() throws {
        let ends = Ends(isV4: true)
        var translator = try Translator()
        let outside = try translator.open(Kind.tcp.packet(ends.client, 5000, ends.remote).octets)
        let left = Kind.tcp.packet(ends.exit, outside, ends.remote).octets
        let redirect = TestPacket.unreachable(from: ends.router, to: ends.exit, quoting: left).with {
            $0.transport[0] = 5
        }
        let outcome = translator.ingress(redirect.octets)
        #expect(outcome == .dropped(.refused(.unsupportedTransport)))
    }

    @Test(arguments: [[127, 0, 0, 1], [224, 0, 0, 1], [0, 0, 0, 0]])
    func `an error from nowhere is dropped`(source: [UInt8]) throws {
        let ends = Ends(isV4: true)
        var translator = try Translator()
        let outside = try translator.open(Kind.tcp.packet(ends.client, 5000, ends.remote).octets)
        let left = Kind.tcp.packet(ends.exit, outside, ends.remote).octets
        let outcome = translator.ingress(TestPacket.unreachable(from: source, to: ends.exit, quoting: left).octets)
        #expect(outcome == .dropped(.refused(.unforwardableAddress)))
    }

    @Test func `an error about an error is dropped, though a flow has the identifier zero`() throws {
        let ends = Ends(isV4: true)
        var translator = try Translator(range: 0...0)
        _ = translator.egress(TestPacket.echo(from: ends.client, to: ends.remote, identifier: 0).octets)
        let first = TestPacket.unreachable(
            from: ends.exit, to: ends.remote, quoting: Kind.udp.packet(ends.remote, 1, ends.exit).octets)
        let outcome = translator.ingress(
            TestPacket.unreachable(from: ends.router, to: ends.exit, quoting: first.octets).octets)
        #expect(outcome == .dropped(.refused(.noFlow)))
    }

    /// Padding and extensions stand where a longer quote would have its checksum: they are the receiver's (RFC 4884).
    @Test(arguments: Kind.allCases, [true, false])
    func `what stands behind a short quote is not touched`(kind: Kind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        var translator = try Translator()
        let outside = try translator.open(kind.packet(ends.client, 5000, ends.remote).octets)
        // An MPLS label, RFC 4950: version 2, then one object.
        let labels: [UInt8] = [0x20, 0, 0, 0, 0, 8, 1, 1, 0xab, 0xcd, 0xe1, 0xff]
        func error(_ source: [UInt8], _ destination: [UInt8], _ quoted: TestPacket) -> TestPacket {
            let quote = Quote.eightOctets.of(quoted)
            let unit = isV4 ? 4 : 8
            let padding = [UInt8](repeating: 0, count: (128 - quote.count))
            return TestPacket.unreachable(from: source, to: destination, quoting: quote + padding + labels).with {
                $0.transport[0] = isV4 ? 11 : 3
                $0.transport[1] = 0
                // A router that says how much of it is the quote.
                $0.transport[isV4 ? 5 : 4] = UInt8(quote.count / unit)
            }
        }
        let left = kind.packet(ends.exit, outside, ends.remote).with { $0.hopLimit = 1 }
        let sent = kind.packet(ends.client, 5000, ends.remote).with { $0.hopLimit = 1 }
        let arrived = translator.ingress(error(ends.router, ends.exit, left).octets)
        let expected = error(ends.router, ends.client, sent)
        #expect(arrived == .forwarded(expected.with { $0.hopLimit = 63 }.octets))
    }

    @Test(arguments: [true, false])
    func `a first fragment is quoted like a whole packet, a later one is nobody's`(isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        var translator = try Translator()
        let payload = [UInt8](repeating: 9, count: 64)
        func fragments(_ source: [UInt8], _ port: UInt16) -> [[UInt8]] {
            TestPacket.udp(from: source, port, to: ends.remote, 443, payload: payload).with { $0.hopLimit = 63 }
                .fragments(of: 40)
        }
        let outside = try translator.open(fragments(ends.client, 5000)[0])
        let error = TestPacket.unreachable(from: ends.router, to: ends.exit, quoting: fragments(ends.exit, outside)[0])
        let told = TestPacket.unreachable(
            from: ends.router, to: ends.client, quoting: fragments(ends.client, 5000)[0])
        let first = translator.ingress(error.octets)
        #expect(first == .forwarded(told.with { $0.hopLimit = 63 }.octets))
        let later = translator.ingress(
            TestPacket.unreachable(from: ends.router, to: ends.exit, quoting: fragments(ends.exit, outside)[1]).octets)
        #expect(later == .dropped(.malformed(.badFragment)))
    }

    @Test func `an error that is too long itself is cut and not answered`() throws {
        let ends = Ends(isV4: true)
        var translator = try Translator(inside: .inside(mtu: 576))
        let outside = try translator.open(Kind.udp.packet(ends.client, 5000, ends.remote).octets)
        let left = TestPacket.udp(
            from: ends.exit, outside, to: ends.remote, 443, payload: .init(repeating: 1, count: 1200))
        let error = TestPacket.unreachable(from: ends.router, to: ends.exit, quoting: left.octets)
        let cut = translator.ingress(error.octets)
        #expect(cut.octets != nil)
        #expect(translator.passage == .inFragments)
        let whole = translator.ingress(error.with { $0.mayBeFragmented = false }.octets)
        #expect(whole == .dropped(.refused(.packetTooBig)))
        #expect(ICMPError.mayAnswer(try error.octets.summary()) == false)
    }
}
