import Foundation
import Testing

/// Whether the tests of doctor leave a probe out.
struct DoctorCoverageTests {
    /// In the tests' own text, because a list beside them could name what none of them does.
    @Test("each probe that print probes lists is provoked, and its remedy followed, in a test")
    func everyProbe() throws {
        let printed = try #require(try Binary.run(["print", "probes", "--json"]).object?["probes"] as? [[String: Any]])
        let ids = Set(printed.compactMap { $0["id"] as? String })
        #expect(ids.count > 20)
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
        var provoked: Set<String> = []
        for file in ["DoctorTests", "DoctorUplinkTests", "DoctorGrantTests", "DoctorAdminTests"].map({ $0 + ".swift" })
        {
            let text = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
            provoked.formUnion(text.matches(of: /\sexpect\(\s*"([a-z0-9_]+)",\s*\.?[a-z]/).map { String($0.1) })
        }
        #expect(ids.subtracting(provoked) == [], "without a test")
        #expect(provoked.subtracting(ids) == [], "no probe")
    }
}
