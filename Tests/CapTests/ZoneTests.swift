import Foundation
import Testing

@testable import Cap

@Suite("Time zones")
struct ZoneTests {
    @Test(
        "Zones are known by their names in the IANA database, those of former times, too",
        arguments: [
            "UTC", "GMT", "Etc/UTC", "Etc/GMT+8", "Europe/Berlin", "Asia/Kolkata", "Asia/Calcutta", "Asia/Kathmandu",
            "Asia/Katmandu", "US/Eastern", "America/Argentina/Buenos_Aires", "America/Nuuk", "Europe/Kyiv", "EST",
            "PST8PDT", "Japan", "GMT0", "GMT+0", "Pacific/Kanton", "America/Ciudad_Juarez", "Antarctica/Troll",
        ])
    func known(name: String) {
        #expect(Zone(name)?.description == name)
    }

    @Test(
        "What is no zone, or may be several, is none",
        arguments: [
            "", " ", "utc", "europe/berlin", "Berlin", "Europe/Berlin ", "Europe/Nowhere", "Europe", "IST", "CST",
            "PST", "BST", "AST", "GMT+2", "GMT-11", "GMT+0200", "UTC+2", "+02:00", "2", "local", "localtime",
            "../etc/passwd", "Europe/Berlin\u{0}", "Etc/Unknown", "CEST", "Ĩ/Ũ",
        ])
    func unknown(name: String) {
        #expect(Zone(name) == nil)
    }

    @Test("Every name of the host's database is known")
    func hostDatabase() throws {
        let path = "/usr/share/zoneinfo/tzdata.zi"
        guard let database = try? String(contentsOfFile: path, encoding: .utf8) else { return }
        let names = database.split(separator: "\n").compactMap { line -> String? in
            let words = line.split(separator: " ")
            return words.first == "Z" ? String(words[1]) : words.first == "L" ? String(words[2]) : nil
        }
        #expect(names.count > 500)
        #expect(names.filter { Zone($0) == nil } == [])
    }

    @Test("All names that are proposed are zones")
    func proposed() {
        #expect(Zone.names.count > 400)
        #expect(Zone.names.filter { Zone($0) == nil } == [])
        #expect(["UTC", "Europe/Berlin", "Asia/Kolkata"].allSatisfy(Zone.names.contains))
    }

    @Test("No zone is further from UTC than sixteen hours, and each change is after the moment asked for")
    func changes() throws {
        for name in Zone.names {
            let zone = try #require(Zone(name))
            var moment: Int64 = -2_208_988_800
            while let change = zone.nextChange(after: moment), change < 4_102_444_800 {
                guard change > moment else {
                    Issue.record("\(name) at \(moment)")
                    break
                }
                #expect(abs(zone.offset(at: change)) <= 16 * 3_600, "\(name) at \(change)")
                moment = change
            }
        }
    }
}
