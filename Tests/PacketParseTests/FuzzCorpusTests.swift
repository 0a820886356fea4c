import Glibc
import Testing

/// The fuzzer begins with what the fixtures know. `FORWARDER_WRITE_CORPUS=1 swift test --filter FuzzCorpus` writes it
/// anew.
@Suite("The fuzzer's corpus")
struct FuzzCorpusTests {
    private static let folder =
        String(#filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }) + "/fuzz/corpus/"

    @Test("holds every fixture, octet for octet", arguments: Fixture.sound + Malformed.all.map(\.fixture))
    func complete(fixture: Fixture) throws {
        let path = Self.folder + fixture.name
        if unsafe getenv("FORWARDER_WRITE_CORPUS") != nil { try write(fixture.octets, to: path) }
        #expect(try read(path) == fixture.octets)
    }

    private func write(_ octets: [UInt8], to path: String) throws {
        let file = unsafe creat(path, 0o644)
        try #require(file >= 0)
        defer { close(file) }
        let written = unsafe octets.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
        try #require(written == octets.count)
    }

    private func read(_ path: String) throws -> [UInt8] {
        let file = unsafe open(path, O_RDONLY)
        try #require(file >= 0)
        defer { close(file) }
        var octets = [UInt8](repeating: 0, count: 4096)
        let length = unsafe octets.withUnsafeMutableBytes { unsafe Glibc.read(file, $0.baseAddress, $0.count) }
        try #require(length >= 0)
        return Array(octets.prefix(length))
    }
}
