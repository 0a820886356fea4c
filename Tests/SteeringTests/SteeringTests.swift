import Testing

@testable import Steering

@Suite struct SteeringTests {
    @Test func `the programs load and count nothing yet`() throws {
        let steering = try Steering()
        let verdicts = try steering.verdicts()
        #expect(verdicts.count == 14)
        #expect(verdicts.allSatisfy { $0.packets == 0 })
        #expect(verdicts.first?.name == "tailnet_to_port")
        // Whatever is no drop says where to.
        #expect(verdicts.allSatisfy { $0.isDrop != $0.name.contains("_to_") })
        let numbers = Steering.Program.allCases.map { steering.loaded($0).number }
        #expect(Set(numbers).count == 6 && !numbers.contains(0))
    }
}
