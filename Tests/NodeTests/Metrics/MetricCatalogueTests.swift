import Metrics
import Testing

@testable import Node

@Suite struct MetricCatalogueTests {
    private let families = Metric.catalogue.map(\.family)

    @Test func `there are never more than two hundred series`() {
        #expect(families.reduce(0) { $0 + $1.seriesCount } <= Metric.seriesLimit)
    }

    @Test func `names are unique, ours begin with forwarder, and end with their unit`() {
        #expect(Set(families.map(\.name)).count == families.count)
        for family in families {
            #expect(family.name.hasPrefix("forwarder_") || family.name.hasPrefix("process_"), "\(family.name)")
            #expect(family.name.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "_") })
            #expect(!family.name.hasSuffix("_total"), "the formats add that")
            if let unit = family.unit { #expect(family.name.hasSuffix("_\(unit.rawValue)"), "\(family.name)") }
        }
    }

    @Test func `each is explained in a sentence that needs no escapes`() {
        for family in families {
            #expect(family.help.hasSuffix("."), "\(family.name)")
            #expect(!family.help.contains { "\\\"\n".contains($0) }, "\(family.name)")
            for label in family.labels {
                #expect(!label.values.isEmpty && Set(label.values).count == label.values.count, "\(family.name)")
            }
        }
    }

    @Test func `a node that knows nothing yet still tells of its process`() {
        let text = String(decoding: Scrape().text(.text), as: UTF8.self)
        #expect(text.contains("forwarder_build_info{version=\"\(version)\"} 1\n"))
        #expect(text.contains("process_resident_memory_bytes "))
        #expect(!text.contains("forwarder_forwarded_bytes_total"))
    }
}
