import Foundation
import Lab
import LinuxSystem
import TestSupport
import Testing

@testable import Node

/// What it costs to be watched, and to be attacked where one is watched. The figures are in docs/performance.md.
@Suite(.serialized, .labCanBeBuilt) struct ScrapeTests {
    /// A machine that is short of memory would time its disk.
    private static func start(_ lab: PlainLab, _ arguments: [String] = []) throws -> ForwarderProcess {
        try ForwarderProcess(
            Binary.path.path, on: lab, ["--dns", "off"] + arguments, capabilities: [.netAdmin, .bpf, .ipcLock])
    }

    private func python(_ program: String, on host: LabHost) throws -> String {
        try host.run(["python3", "-"], input: program, upTo: .seconds(120))
    }

    @Test("a scrape of a node with 65,536 flows takes less than 5 ms, and 1 ms of a processor")
    func cost() throws {
        let lab = try PlainLab()
        let node = try Self.start(lab)
        for place in 20...22 { try lab.client.sendDatagrams(to: "203.0.113.\(place)", ports: 1...65_535) }
        let live = try node.status().flows.live
        #expect(live > 65_000, "\(live)")
        // As with other figures: once more where the processors were wanted elsewhere.
        // A processor's speed is the machine's: the bar itself is the soak's, and what every change is held to is twice that.
        let bar = isSoak ? 1.0 : 2.0
        var cost = try measure(lab, node)
        for _ in 0..<2 where cost.milliseconds >= 5 || cost.processor >= bar { cost = try measure(lab, node) }
        #expect(cost.milliseconds < 5 && cost.processor < bar, "\(cost)")
    }

    /// Milliseconds of a scrape, by the clock and of a processor.
    private func measure(_ lab: PlainLab, _ node: ForwarderProcess) throws -> (milliseconds: Double, processor: Double)
    {
        // What was read is told for a quarter of a second: each of these is read anew. A node that nobody asks has other
        // things to do, flows that end among them.
        let scrapes = 10
        var (times, sizes): ([Double], [Double]) = ([], [])
        let rounds = try interleave([false, true], rounds: isSoak ? 9 : 3) { isScraped, _ in
            let before = node.threadSeconds()
            if isScraped {
                let told = try python(Self.scrape(scrapes), on: lab.node)
                let figures = told.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
                times += figures.dropLast()
                sizes += figures.suffix(1)
            } else {
                usleep(useconds_t(scrapes) * 270_000)
            }
            return node.threadSeconds() - before
        }
        let processor = (Spread(rounds[1]).median - Spread(rounds[0]).median) / Double(scrapes) * 1000
        times.sort()
        print(
            "figure: scrape: median \(times[times.count / 2]) ms, longest \(times[times.count - 1]) ms, "
                + "processor \(processor) ms (seconds alone \(rounds[0]), scraped \(rounds[1])), \(sizes.first ?? 0) octets"
        )
        #expect(sizes.allSatisfy { $0 > 5_000 })
        return (times[times.count / 2], processor)
    }

    /// Milliseconds of each, and the size of the last.
    private static func scrape(_ count: Int) -> String {
        """
        import http.client, time
        connection = http.client.HTTPConnection("127.0.0.1", 10586)
        for _ in range(\(count)):
            time.sleep(0.27)
            begin = time.monotonic()
            connection.request("GET", "/metrics")
            size = len(connection.getresponse().read())
            print((time.monotonic() - begin) * 1000)
        print(size)
        """
    }

    @Test("a hundred who scrape do not make a packet dearer")
    func scrapers() throws {
        let lab = try PlainLab()
        let node = try Self.start(lab)
        let bulk = try Bulk(
            .udp(bitsPerSecond: 100_000_000), .upload, flows: 4, client: lab.client, server: lab.internet,
            at: lab.internetAddress.v4)
        usleep(1_000_000)
        func nanosecondsPerPacket() throws -> Double {
            let (times, packets) = (try node.loopTimes(), try node.status().forwarded.egress.packets)
            usleep(2_000_000)
            let (times2, packets2) = (try node.loopTimes(), try node.status().forwarded.egress.packets)
            return (times2.ran - times.ran) * 1e9 / Double(max(1, packets2 - packets))
        }
        func measure() throws -> (alone: Spread, watched: Spread) {
            let rounds = try interleave([false, true], rounds: isSoak ? 9 : 3) { isScraped, _ in
                let crowd = isScraped ? try lab.node.start(["python3", "-c", Self.crowd]) : nil
                if let crowd { try eventually(within: .seconds(10)) { crowd.standardOutput.contains("begun") } }
                defer { crowd?.terminate() }
                return try nanosecondsPerPacket()
            }
            print("figure: the loop's ns a packet alone \(rounds[0]), beside 100 scrapers \(rounds[1])")
            return (Spread(rounds[0]), Spread(rounds[1]))
        }
        // Within the spread of the run without; of three rounds there is hardly one.
        func isUnmoved(_ figures: (alone: Spread, watched: Spread)) -> Bool {
            figures.watched.median < max(figures.alone.high, figures.alone.median * (isSoak ? 1.05 : 1.3))
        }
        // As with other figures: once more where the processors were wanted elsewhere.
        var figures = try measure()
        for _ in 0..<2 where !isUnmoved(figures) { figures = try measure() }
        #expect(isUnmoved(figures), "\(figures)")
        #expect(bulk.complaint == nil)
        let requests = try lab.node.run(["curl", "--silent", "http://127.0.0.1:10586/metrics"])
            .split(separator: "\n").first { $0.hasPrefix(#"forwarder_admin_requests_total{outcome="answered"}"#) }
        #expect(
            requests.flatMap { Double($0.split(separator: " ")[1]) } ?? 0 > 100,
            "the control: \(String(describing: requests))")
    }

    /// A hundred clients, each with a connection of its own, each once a second.
    private static let crowd = """
        import http.client, random, threading, time
        def scrape():
            time.sleep(random.random())
            connection = http.client.HTTPConnection("127.0.0.1", 10586)
            while True:
                connection.request("GET", "/metrics")
                connection.getresponse().read()
                time.sleep(1)
        for _ in range(100): threading.Thread(target=scrape, daemon=True).start()
        time.sleep(1.5)
        print("begun", flush=True)
        time.sleep(60)
        """

    @Test("ten thousand slow, malformed and oversized requests: memory stays, packets pass, nobody is let in")
    func attack() throws {
        let lab = try PlainLab()
        try lab.node.run(["sh", "-c", "umask 077; echo 0123456789abcdef0123456789abcdef > /run/token"])
        let node = try Self.start(lab, ["--admin-token-file", "/run/token"])
        func series() throws -> PingSeries {
            try PingSeries(
                on: lab.client, to: lab.internetAddress.v4, from: lab.clientAddress.v4, count: 100, every: 0.02)
        }
        let quiet = try series().roundTrips()
        // What a first request needs is not the attack's.
        _ = try python(Self.attack(100), on: lab.node)
        usleep(2_500_000)
        let before = try node.residentBytes()
        let meanwhile = try series()
        let told = try python(Self.attack(isSoak ? 10_000 : 2_000), on: lab.node)
        let after = try node.residentBytes()
        let trips = try meanwhile.roundTrips()
        print(
            "figure: attacked: \(told.split(separator: "\n").joined()), resident \(before / 1000) then \(after / 1000) kB, "
                + "ping median \(Spread(quiet).median) then \(Spread(trips).median) ms")
        #expect(!told.contains("'200'"), "\(told)")
        #expect(trips.count == 100)
        // Two processors are shared with who attacks.
        #expect(Spread(trips).median < Spread(quiet).median + 5)
        #expect(after < before + 8_000_000)
        let answer = try lab.node.run([
            "curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--header",
            "Authorization: Bearer 0123456789abcdef0123456789abcdef", "http://127.0.0.1:10586/metrics",
        ])
        // The last of the attack may have used up the second's requests.
        #expect(answer == "200", "the control")
    }

    private static func attack(_ count: Int) -> String {
        """
        import collections, random, socket
        random.seed(1)
        kinds = [
            b"", b"GET /met", b"GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\n", b"GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n",
            b"GET /metrics HTTP/1.1\\r\\nAuthorization: Bearer 0123456789abcdef0123456789abcde\\r\\n\\r\\n",
            b"GET /" + b"x" * 20000, b"GET / HTTP/1.1\\r\\n" + b"X: y\\r\\n" * 5000, b"\\x16\\x03\\x01" * 100,
            b"POST /metrics HTTP/1.1\\r\\nContent-Length: 99999999\\r\\n\\r\\n" + b"z" * 30000,
        ]
        answers = collections.Counter()
        held = collections.deque()
        for number in range(\(count)):
            client = socket.create_connection(("127.0.0.1", 10586))
            client.settimeout(0.005)
            try:
                octets = random.choice(kinds) if number % 3 else random.randbytes(random.randrange(1, 3000))
                client.sendall(octets)
                answers[client.recv(100)[9:12].decode("latin1")] += 1
            except OSError: pass
            held.append(client)
            if len(held) > 300: held.popleft().close()
        print(dict(answers))
        """
    }
}
