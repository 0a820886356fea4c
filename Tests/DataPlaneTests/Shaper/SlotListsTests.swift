import TestSupport
import Testing

@testable import DataPlane

/// The lists against arrays.
struct SlotListsTests {
    @Test(arguments: 1...4)
    func `after any appending and removing each list is in its order`(seed: UInt64) throws {
        var random = RandomNumbers(seed: seed)
        var lists = try SlotLists(slots: 30, lists: 4)
        var model = [[Int]](repeating: [], count: 4)
        var wrong = 0
        for _ in 0..<5000 {
            let slot = Int.random(in: 0..<30, using: &random)
            for list in 0..<4 { model[list].removeAll { $0 == slot } }
            if Bool.random(using: &random) {
                let list = Int.random(in: 0..<4, using: &random)
                lists.append(slot, to: list)
                model[list].append(slot)
            } else {
                lists.remove(slot)
            }
            for list in 0..<4 {
                var (found, next): ([Int], Int?) = ([], lists.first(of: list))
                while let slot = next, found.count < 31 {
                    found.append(slot)
                    next = lists.next(after: slot)
                }
                if found != model[list] { wrong += 1 }
            }
            let home = lists.list(of: slot)
            if home != model.firstIndex(where: { $0.contains(slot) }) { wrong += 1 }
        }
        #expect(wrong == 0, "seed \(seed)")
    }
}
