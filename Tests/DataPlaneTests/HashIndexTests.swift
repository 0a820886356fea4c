import TestSupport
import Testing

@testable import DataPlane

/// The index against a dictionary from slot to hash.
struct HashIndexTests {
    /// Where hashes fall in an index of 128 buckets.
    enum Homes: String, CaseIterable {
        case anywhere, oneBucket, acrossTheEnd

        func hash(_ random: inout RandomNumbers) -> UInt64 {
            let upper = UInt64.random(in: 0..<24, using: &random) << 8
            switch self {
            case .anywhere: return random.next()
            case .oneBucket: return upper | 5
            case .acrossTheEnd: return upper | UInt64.random(in: 124..<132, using: &random) & 127
            }
        }
    }

    @Test(arguments: Homes.allCases)
    func `after any insertions and removals each hash leads to its slots and to no other`(homes: Homes) throws {
        var random = RandomNumbers(seed: 1)
        var index = try HashIndex(slots: 64)
        var model: [Int: UInt64] = [:]
        var wrong = 0
        for _ in 0..<20_000 {
            let slot = Int.random(in: 0..<64, using: &random)
            if let hash = model[slot] {
                index.remove(hash, slot)
                model[slot] = nil
            } else {
                let hash = homes.hash(&random)
                index.insert(hash, slot)
                model[slot] = hash
            }
            let asked =
                Bool.random(using: &random) ? homes.hash(&random) : model.randomElement(using: &random)?.value ?? 0
            var visited: Set<Int> = []
            let found = index.find(asked) { slot in
                visited.insert(slot)
                return false
            }
            let expected = Set(
                model.filter { UInt32(truncatingIfNeeded: $0.value) == UInt32(truncatingIfNeeded: asked) }.keys)
            if found != nil || visited != expected { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    @Test func `removing what is not there changes nothing`() throws {
        var index = try HashIndex(slots: 8)
        index.insert(3, 1)
        index.remove(3, 2)
        index.remove(19, 1)
        #expect(index.candidate(3) == 1)
    }

    @Test func `an index is full only when every slot is in it, and empty again afterwards`() throws {
        var index = try HashIndex(slots: 8)
        for slot in 0..<8 { index.insert(15, slot) }
        for slot in 0..<8 { #expect(index.find(15) { $0 == slot } == slot) }
        for slot in 0..<8 { index.remove(15, slot) }
        #expect(index.candidate(15) == nil)
    }
}
