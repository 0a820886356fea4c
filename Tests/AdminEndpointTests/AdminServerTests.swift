import Foundation
import PacketParse
import Synchronization
import Testing

@testable import AdminEndpoint

@Suite struct AdminServerTests {
    private static let loopback = IPAddress(v4: 0x7f00_0001)
    private static let secret = "an-example-of-a-token"

    private func server(
        _ limits: AdminServer.Limits = .init(), token: String? = nil,
        refused: @escaping @Sendable (String) -> Void = { _ in }
    ) throws -> AdminServer {
        try AdminServer(
            at: Self.loopback, port: 0, token: try token.map { try AdminToken(Array($0.utf8)) }, limits: limits,
            refused: refused
        ) { request in
            .init(
                status: request.path == "/here" ? 200 : 404, contentType: "text/plain",
                body: Array("\(request.path) \(request.accept.joined(separator: "|"))".utf8))
        }
    }

    @Test func `a request is answered with what was made of it, and the connection stays`() throws {
        let server = try server()
        defer { server.end() }
        let caller = try Caller(port: server.port)
        for _ in 0..<3 {
            caller.get("/here?a=b", "Accept: text/plain", "Accept: */*;q=0.1")
            let answer = caller.answer()
            #expect(
                answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.hasSuffix("\r\n\r\n/here text/plain|*/*;q=0.1"),
                "\(answer)")
        }
        #expect(server.counts.answered == 3)
    }

    @Test func `HEAD has the fields and no body`() throws {
        let server = try server()
        defer { server.end() }
        let caller = try Caller(port: server.port)
        caller.send("HEAD /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        let answer = caller.rest()
        #expect(answer.contains("Content-Length: 6") && answer.hasSuffix("\r\n\r\n"), "\(answer)")
    }

    @Test func `who asks again before he is answered is left, and holds nothing`() throws {
        let server = try server()
        defer { server.end() }
        let caller = try Caller(port: server.port)
        caller.send(String(repeating: "GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 50))
        let answer = caller.rest()
        #expect(answer.matches(of: /200 OK/).count <= 1, "\(answer)")
        #expect(server.counts.rejected >= 1 && server.counts.answered <= 1)
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
    func `nothing can be changed`(method: String) throws {
        let server = try server()
        defer { server.end() }
        let caller = try Caller(port: server.port)
        caller.send("\(method) /here HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let answer = caller.rest()
        #expect(answer.hasPrefix("HTTP/1.1 405 ") && answer.contains("Allow: GET, HEAD"), "\(answer)")
    }

    @Test(arguments: ["", "Connection: close\r\n"])
    func `who says that he asks no more is answered, and left`(field: String) throws {
        let server = try server()
        defer { server.end() }
        let caller = try Caller(port: server.port)
        caller.send("GET /here HTTP/1.1\r\nHost: localhost\r\n\(field)\r\n")
        caller.endSending()
        let began = ContinuousClock.now
        #expect(caller.rest().hasPrefix("HTTP/1.1 200 "))
        #expect(ContinuousClock.now - began < .seconds(4))
        for beginning in ["", "GET /he"] {
            let caller = try Caller(port: server.port)
            caller.send(beginning)
            caller.endSending()
            #expect(!caller.rest().contains("200 OK"))
        }
        #expect(ContinuousClock.now - began < .seconds(4), "nobody's patience was waited for")
    }

    @Test(
        arguments: [
            ("/here", "127.0.0.1", 200), ("/here", "127.0.0.1:10586", 200), ("/here", "[::1]:10586", 200),
            ("/here", "localhost:10586", 200), ("/here", "LOCALHOST", 200), ("http://127.0.0.1:9/here?a", "x", 200),
            ("/here", "rebound.example", 421), ("/here", "localhost.example:10586", 421),
            ("/here", "127.0.0.1.example", 421), ("/here", "[::1.example]", 421), ("/here", "", 421),
            ("http://rebound.example/here", "127.0.0.1", 421), ("/here", "localhost\r\nHost: localhost", 400),
        ])
    func `who calls the node by a name that is not its own is a page's visitor`(
        uri: String, host: String, status: Int
    ) throws {
        let server = try server()
        defer { server.end() }
        let caller = try Caller(port: server.port)
        caller.send("GET \(uri) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        let answer = caller.answer()
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
        #expect(answer.contains("/here") == (status == 200))
    }

    @Test func `a Host is asked for as its version of HTTP demands, and by who brings the token it may be any`() throws
    {
        let open = try server()
        defer { open.end() }
        for (version, status) in [("1.0", 200), ("1.1", 400)] {
            let caller = try Caller(port: open.port)
            caller.send("GET /here HTTP/\(version)\r\n\r\n")
            #expect(caller.answer().hasPrefix("HTTP/1.1 \(status) "))
        }
        let server = try server(token: Self.secret)
        defer { server.end() }
        let caller = try Caller(port: server.port)
        caller.send("GET /here HTTP/1.1\r\nHost: node.example\r\nAuthorization: Bearer \(Self.secret)\r\n\r\n")
        #expect(caller.answer().hasPrefix("HTTP/1.1 200 "))
    }

    // MARK: The token

    @Test func `without the token nobody is told anything, and the address of who tried is reported`() throws {
        let tried = Mutex<[String]>([])
        let server = try server(token: Self.secret) { who in tried.withLock { $0.append(who) } }
        defer { server.end() }
        for field in [
            "X: y", "Authorization: Bearer", "Authorization: Bearer \(Self.secret)x",
            "Authorization: Bearer \(Self.secret.dropLast())", "Authorization: Bearer \(Self.secret.uppercased())",
            "Authorization: Basic \(Self.secret)", "Authorization: \(Self.secret)",
        ] {
            for path in ["/here", "/there"] {
                let caller = try Caller(port: server.port)
                caller.get(path, field)
                let answer = caller.rest()
                #expect(answer.hasPrefix("HTTP/1.1 401 ") && !answer.contains(path), "\(field): \(answer)")
            }
        }
        #expect(tried.withLock { $0 } == Array(repeating: "127.0.0.1", count: 14))
        #expect(server.counts.unauthorized == 14 && server.counts.answered == 0)
        for scheme in ["Bearer", "bearer"] {
            let caller = try Caller(port: server.port)
            caller.get("/here", "Authorization: \(scheme) \(Self.secret)")
            #expect(caller.answer().hasPrefix("HTTP/1.1 200 "), "the control")
        }
    }

    @Test func `a token has a length, and can be sent`() {
        for text in [
            "", "short", String(repeating: "x", count: 1_025), "with a blank in between", "\u{e9}tranger-tout-le-jour",
        ] {
            #expect(throws: AdminToken.Unfit.self) { try AdminToken(Array(text.utf8)) }
        }
        #expect(
            (try? AdminToken(Array("  \(Self.secret)\r\nand more\n".utf8)))?.admits(
                authorization: "Bearer \(Self.secret)") == true)
    }

    @Test func `strangers do not use up what others may ask`() throws {
        var limits = AdminServer.Limits()
        limits.requestsPerSecond = 2
        let server = try server(limits, token: Self.secret)
        defer { server.end() }
        for _ in 0..<20 {
            let caller = try Caller(port: server.port)
            caller.get("/here")
            #expect(caller.rest().hasPrefix("HTTP/1.1 4"))
        }
        let caller = try Caller(port: server.port)
        caller.get("/here", "Authorization: Bearer \(Self.secret)")
        #expect(caller.answer().hasPrefix("HTTP/1.1 200 "))
    }

    // MARK: Limits

    @Test(arguments: ["GET /here HTTP/1.1\r\nX: ", "GET /", "X", "\r\n", "GET /here HTTP/1.1\r\nX: y\r\nX: "])
    func `a request that goes on for ever is ended`(beginning: String) throws {
        var limits = AdminServer.Limits()
        limits.requestSeconds = 60
        let server = try server(limits)
        defer { server.end() }
        let caller = try Caller(port: server.port)
        caller.send(beginning + String(repeating: "z", count: 100_000))
        let began = ContinuousClock.now
        let answer = caller.rest()
        #expect(answer.hasPrefix("HTTP/1.1 4") || answer.isEmpty, "\(answer)")
        #expect(ContinuousClock.now - began < .seconds(8), "before anybody's patience ends")
        #expect(server.counts.answered == 0 && server.counts.rejected >= 1)
    }

    @Test func `a request that does not end in time is left`() throws {
        var limits = AdminServer.Limits()
        limits.requestSeconds = 1
        let server = try server(limits)
        defer { server.end() }
        for beginning in ["", "GET /here HTTP/1.1\r\n"] {
            let began = ContinuousClock.now
            let caller = try Caller(port: server.port)
            caller.send(beginning)
            #expect(caller.rest() == "")
            let took = ContinuousClock.now - began
            #expect(took > .milliseconds(800) && took < .seconds(5), "\(took)")
        }
    }

    @Test func `where connections are scarce, who has dawdled longest gives way`() throws {
        var limits = AdminServer.Limits()
        limits.connections = 4
        let server = try server(limits)
        defer { server.end() }
        let idle = try (0..<20).map { _ in
            let caller = try Caller(port: server.port)
            caller.send("GET /he")
            return caller
        }
        let caller = try Caller(port: server.port)
        caller.get("/here")
        #expect(caller.answer().hasPrefix("HTTP/1.1 200 "))
        #expect(server.counts.rejected >= 16)
        withExtendedLifetime(idle) {}
    }

    @Test func `too many requests a second are told so`() throws {
        var limits = AdminServer.Limits()
        limits.requestsPerSecond = 2
        let server = try server(limits)
        defer { server.end() }
        let answers = try (0..<20).map { _ in
            let caller = try Caller(port: server.port)
            caller.get("/here")
            return caller.answer()
        }
        #expect(answers.prefix(2).allSatisfy { $0.hasPrefix("HTTP/1.1 200 ") })
        #expect(answers.filter { $0.hasPrefix("HTTP/1.1 429 ") }.count >= 1, "\(answers)")
    }

    @Test(
        arguments: [
            "nonsense\r\n\r\n", "GET\r\n\r\n", "GET /here HTTP/9.9\r\n\r\n", "\0\0\0\0",
            "GET /here HTTP/1.1\r\n: x\r\n\r\n",
            "GET /here HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET /here HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\0\u{1}",
        ])
    func `what is no request of HTTP ends, and the next one is answered`(octets: String) throws {
        var limits = AdminServer.Limits()
        limits.requestSeconds = 1
        let server = try server(limits)
        defer { server.end() }
        let caller = try Caller(port: server.port)
        caller.send(octets)
        let answer = caller.rest()
        #expect(!answer.contains("200 OK"), "\(answer)")
        let next = try Caller(port: server.port)
        next.get("/here")
        #expect(next.answer().hasPrefix("HTTP/1.1 200 "), "the control")
    }

    @Test func `an address that is taken is refused with its reason`() throws {
        let server = try server()
        defer { server.end() }
        #expect {
            _ = try AdminServer(at: Self.loopback, port: server.port, token: nil) { _ in
                .init(status: 200, contentType: "", body: [])
            }
        } throws: {
            ($0 as? AdminServer.Unbindable)?.errno == EADDRINUSE
        }
    }
}
