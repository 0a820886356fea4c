import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// The memory that the steering program reads, against sets.
struct LiveBindingsTests {
    @Test func `bits and fingerprints are those of what is open, whatever came before`() {
        var random = RandomNumbers(seed: 11)
        let words = LiveWords()
        let live = words.bindings
        var ports: [Transport: Set<UInt16>] = [.tcp: [], .udp: []]
        var queries: [UInt16: IPAddress] = [:]
        for _ in 0..<5000 {
            let number = UInt16.random(in: 0...300, using: &random) &+ 65_400
            let transport: Transport = Bool.random(using: &random) ? .tcp : .udp
            if ports[transport]?.remove(number) != nil {
                live.close(transport, port: number)
            } else {
                ports[transport]?.insert(number)
                live.open(transport, port: number)
            }
            if let remote = queries.removeValue(forKey: number) {
                live.close(query: number, to: remote)
            } else {
                let remote = IPAddress(bits: UInt128(random.next()) << 64 | UInt128(random.next()))
                if live.open(query: number, to: remote) { queries[number] = remote }
            }
        }
        #expect(words.openPorts(.tcp) == ports[.tcp])
        #expect(words.openPorts(.udp) == ports[.udp])
        #expect(words.openQueries == queries.map { LiveBindings.fingerprint($1, $0) }.sorted())
        #expect(queries.allSatisfy { words.admits(query: $0, from: $1) })
    }

    @Test func `a query finds no room behind eight others of the same home, and room again when one ends`() {
        let words = LiveWords()
        let live = words.bindings
        let remote = IPAddress(v4: 0xcb00_710a)
        // Homes among 16,384: remotes are varied until nine share the first one's.
        let home = LiveBindings.fingerprint(remote, 7) & 16383
        let sharers = (UInt32(0)...).lazy.map { IPAddress(v4: $0) }
            .filter { LiveBindings.fingerprint($0, 7) & 16383 == home }.prefix(9)
        let crowd = Array(sharers)
        let opened = crowd.map { live.open(query: 7, to: $0) }
        #expect(opened == Array(repeating: true, count: 8) + [false])
        live.close(query: 7, to: crowd[2])
        let reopened = live.open(query: 7, to: crowd[8])
        #expect(reopened)
        #expect(words.admits(query: 7, from: crowd[8]))
        #expect(!words.admits(query: 7, from: crowd[2]))
    }
}
