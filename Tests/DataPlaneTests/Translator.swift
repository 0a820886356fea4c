import PacketParse
import Testing

@testable import DataPlane

/// A NAT without a loop: octets in, octets out, at a second of the test's choosing.
struct Translator: ~Copyable {
    var nat: NAT
    var statistics = Statistics()
    var now: UInt32 = 1000
    /// How the last packet that was forwarded goes on.
    var passage = Passage.whole
    let liveWords = LiveWords()

    init(
        flows: Int = 1024, range: ClosedRange<UInt16> = 16384...32767, inside: Interface = .inside(),
        outside: Interface = .outside()
    ) throws {
        nat = try testNAT(
            flows: flows, range: range, inside: inside, outside: outside, live: liveWords.bindings, now: now)
    }

    /// What leaves towards the VPN, or why nothing does.
    ///
    /// - Parameter wireLength: of a super-packet's segments.
    mutating func egress(
        _ packet: [UInt8], checksum: PendingChecksum = .complete, wireLength: Int? = nil
    ) -> Outcome {
        Outcome { () throws(DropReason) -> [UInt8] in
            var octets = packet
            var span = octets.mutableSpan
            var raw = unsafe span.mutableBytes
            let summary = try parsed(raw.bytes)
            let hash = nat.flows.hash(.outbound(summary))
            passage = try nat.egress(
                &raw, summary, wireLength: wireLength ?? summary.totalLength, hash: hash, checksum: checksum, now: now,
                &statistics)
            return octets
        }
    }

    /// The outside port of a flow that must find a way.
    mutating func open(_ packet: [UInt8]) throws -> UInt16 {
        let outcome = egress(packet)
        return try #require(outcome.outsidePort, "\(outcome)")
    }

    /// What goes on to the tailnet, or why nothing does.
    mutating func ingress(
        _ packet: [UInt8], checksum: PendingChecksum = .complete, wireLength: Int? = nil
    ) -> Outcome {
        Outcome { () throws(DropReason) -> [UInt8] in
            var octets = packet
            var span = octets.mutableSpan
            var raw = unsafe span.mutableBytes
            let summary = try parsed(raw.bytes)
            let hash = nat.flows.hash(.inbound(summary))
            passage = try nat.ingress(
                &raw, summary, wireLength: wireLength ?? summary.totalLength, hash: hash, checksum: checksum, now: now)
            return octets
        }
    }

    /// Lets the time pass and ends what is over.
    mutating func advance(to second: UInt32) {
        now = second
        nat.expire(now: now, budget: .max, &statistics)
    }

    var flows: [Flow] { nat.flows.flows(in: 0..<nat.flows.capacity) }
}

private func parsed(_ octets: RawSpan) throws(DropReason) -> PacketSummary {
    do throws(ParseError) { return try PacketSummary(parsing: octets) } catch { throw .malformed(error) }
}

/// A packet that was forwarded, or the reason why it was not.
enum Outcome: Equatable {
    case forwarded([UInt8])
    case dropped(DropReason)

    init(_ body: () throws(DropReason) -> [UInt8]) {
        do throws(DropReason) { self = .forwarded(try body()) } catch { self = .dropped(error) }
    }

    var octets: [UInt8]? {
        if case .forwarded(let octets) = self { octets } else { nil }
    }

    /// The source port of what was forwarded; for an echo request, its identifier.
    var outsidePort: UInt16? {
        guard let octets, let summary = try? octets.summary() else { return nil }
        return summary.sourcePort
    }
}

extension Array where Element == UInt8 {
    func summary() throws(ParseError) -> PacketSummary { try PacketSummary(parsing: unsafe span.bytes) }
}

/// The memory that a steering program would read, in the test's hands.
@safe final class LiveWords: @unchecked Sendable {
    static let queryCount = 16384
    private let tcpPorts = unsafe words(LiveBindings.portWords)
    private let udpPorts = unsafe words(LiveBindings.portWords)
    private let queries = unsafe words(queryCount)

    private static func words(_ count: Int) -> UnsafeMutableBufferPointer<UInt64> {
        let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: count)
        unsafe words.initialize(repeating: 0)
        return unsafe words
    }

    deinit {
        unsafe tcpPorts.deallocate()
        unsafe udpPorts.deallocate()
        unsafe queries.deallocate()
    }

    /// Valid as long as `self`.
    var bindings: LiveBindings {
        unsafe LiveBindings(
            tcpPorts: tcpPorts.baseAddress!, udpPorts: udpPorts.baseAddress!, queries: queries.baseAddress!,
            queryCount: Self.queryCount)
    }

    func openPorts(_ transport: Transport) -> Set<UInt16> {
        let words = unsafe transport == .tcp ? tcpPorts : udpPorts
        var open: Set<UInt16> = []
        for index in 0..<LiveBindings.portWords where unsafe words[index] != 0 {
            for bit in 0..<64 where unsafe words[index] >> UInt64(bit) & 1 != 0 {
                open.insert(UInt16(index * 64 + bit))
            }
        }
        return open
    }

    var openQueries: [UInt64] { unsafe queries.filter { $0 != 0 }.sorted() }

    /// Whether the steering program would let an answer in: it looks at eight places from the fingerprint's home on.
    func admits(query identifier: UInt16, from remote: IPAddress) -> Bool {
        let mark = LiveBindings.fingerprint(remote, identifier)
        return (0..<8).contains {
            unsafe queries[(Int(truncatingIfNeeded: mark) &+ $0) & (Self.queryCount - 1)] == mark
        }
    }
}
