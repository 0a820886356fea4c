import Testing

@testable import DataPlane

struct BellTests {
    @Test func `it rings once, when as much has passed as was asked for`() throws {
        let bell = try Bell()
        func rings(at octets: UInt64) -> Bool {
            bell.tell(passed: octets)
            return bell.wait(milliseconds: 0)
        }
        let unasked = rings(at: 1000)
        bell.ring(after: 500)
        let asked = [rings(at: 1499), rings(at: 1500), rings(at: 9000)]
        bell.ring(after: 500)
        bell.ring(after: nil)
        let never = rings(at: .max - 1)
        #expect(!unasked && asked == [false, true, false] && !never)
    }
}
