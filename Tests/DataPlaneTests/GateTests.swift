import Testing

@testable import DataPlane

struct GateTests {
    @Test func `a word is the gate that it was made of, and no rate closes or opens it`() {
        for gate: DataPlane.Gate in [.open, .closed, .limited(bitsPerSecond: 64_000)] {
            #expect(DataPlane.Gate(word: gate.word) == gate)
        }
        for (rate, kept) in [(0, 1), (.max, .max - 1)] as [(UInt64, UInt64)] {
            let gate = DataPlane.Gate(word: DataPlane.Gate.limited(bitsPerSecond: rate).word)
            #expect(gate == .limited(bitsPerSecond: kept))
        }
    }
}
