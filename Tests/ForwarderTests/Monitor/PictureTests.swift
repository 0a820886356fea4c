import Foundation
import TestSupport
import Testing

@testable import Node
@testable import forwarder

@Suite("The monitor's picture")
struct PictureTests {
    /// A picture that is kept beside the tests.
    struct Kept: Sendable, CustomTestStringConvertible {
        let name: String
        var size = Size(columns: 80, rows: 24)
        var style = Style(isColoured: false, isUnicode: true)
        var view = View(takesKeys: true)
        /// Seconds after the last look.
        var later = 0.0
        let watch: @Sendable () -> Watch

        var testDescription: String { name }
    }

    static let kept: [Kept] = [
        Kept(name: "80x24") { Watched.watch { $0.events = Watched.events } },
        Kept(name: "120x40", size: Size(columns: 120, rows: 40)) { Watched.watch { $0.events = Watched.events } },
        Kept(name: "40x10", size: Size(columns: 40, rows: 10)) { Watched.watch() },
        Kept(name: "colour", style: Style(isColoured: true, isUnicode: true)) { Watched.watch() },
        Kept(name: "ascii", style: Style(isColoured: false, isUnicode: false)) { Watched.watch(Watched.cap) },
        Kept(name: "waiting") {
            Watched.watch { look in
                look.status.state = .waiting
                look.status.waitingFor = ["tun0"]
                look.status.forwarded = .init()
                look.status.vpn = .init(state: .down, since: Watched.start)
                look.status.vpn?.because = "tun0 is not there"
                look.status.exitAddresses = .init()
                look.status.guard = nil
                look.status.drops = [:]
                look.flows = FlowsReport(busiest: [], total: 0, addresses: .masked)
            }
        },
        Kept(name: "capped", view: View(order: .bytes, takesKeys: true)) { Watched.watch(Watched.cap) },
        Kept(name: "leaking") {
            Watched.watch { look in
                look.status.guard?.mode = .observe
                look.status.guard?.leaked = .init(packets: 5, bytes: 320)
                look.status.notes = ["FORWARDER_GUARD is observe: nothing is held back", "another"]
            }
        },
        Kept(name: "gone", later: 12) {
            var watch = Watched.watch { $0.events = Watched.events }
            for second in 91...102 {
                watch.miss("nobody answers on /run/forwarder/control.sock", at: Watched.moment(Double(second)).date)
            }
            return watch
        },
        Kept(name: "back") {
            var watch = Watched.watch()
            for second in 91...95 { watch.miss("nobody answers", at: Watched.moment(Double(second)).date) }
            for second in 96...99 { watch.take(Watched.look(second)) }
            return watch
        },
        Kept(name: "once", view: View()) { Watched.watch(seconds: 1, Watched.cap) },
    ]

    @Test("is the one that is kept, character by character", arguments: kept)
    func golden(kept: Kept) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = root.appending(path: "Pictures/monitor-\(kept.name).txt")
        let watch = kept.watch()
        let seconds = watch.look.moment.seconds(since: Watched.moment(0)) + kept.later
        let picture = Picture(of: watch, as: kept.view, in: kept.size, kept.style, at: Watched.moment(seconds))
        let text = picture.text(in: kept.style)
        // Written anew with RECORD=1, and then looked at by whoever asked for that.
        if ProcessInfo.processInfo.environment["RECORD"] != nil { try Data(text.utf8).write(to: file) }
        #expect(try String(contentsOf: file, encoding: .utf8) == text)
        #expect(picture.lines.count <= kept.size.rows)
        #expect(picture.lines.allSatisfy { $0.width <= kept.size.columns })
    }

    @Test("never leaves its window and never carries a control character, whatever it is made of", arguments: 0..<40)
    func bounds(seed: UInt64) {
        var random = RandomNumbers(seed: seed)
        for _ in 0..<25 {
            let style = Style(isColoured: Bool.random(using: &random), isUnicode: Bool.random(using: &random))
            var watch = Watch(Self.look(&random))
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                if Int.random(in: 0...4, using: &random) == 0 {
                    watch.miss(Self.text(&random), at: Self.date(&random))
                } else {
                    watch.take(Self.look(&random))
                }
            }
            let size = Size(
                columns: Int.random(in: -1...200, using: &random), rows: Int.random(in: -1...60, using: &random))
            let orders: [View.Order] = [.rate, .bytes, .age]
            let view = View(
                order: orders[Int.random(in: 0...2, using: &random)], isPaused: Bool.random(using: &random),
                isRevealed: Bool.random(using: &random), mayReveal: Bool.random(using: &random),
                takesKeys: Bool.random(using: &random))
            let now = Moment(nanoseconds: random.next(), date: Self.date(&random))
            let picture = Picture(of: watch, as: view, in: size, style, at: now)
            let lines = picture.lines.map { $0.text(in: style) }
            #expect(lines.count <= max(0, size.rows))
            for line in lines {
                let bare = style.isColoured ? line.replacing(/\u{1b}\[[0-9;]*m/, with: "") : line
                #expect(bare.unicodeScalars.count <= max(0, size.columns))
                let isHarmless = bare.unicodeScalars.allSatisfy {
                    $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) && $0.value < 0x2600
                        && $0.value != 0xad && (style.isUnicode || $0.isASCII)
                }
                #expect(isHarmless, "\(line.debugDescription)")
            }
        }
    }

    private static let nasty = [
        "", "a", "\u{1b}[2J", "\u{1b}]0;title\u{07}", "\u{9b}31m", "two\r\nlines\ttabbed", "\u{202e}right to left",
        "e\u{301}", "\u{200b}\u{feff}\u{ad}", "\u{5317}\u{4eac}", "\u{1f600}", String(repeating: "long ", count: 99),
        "\u{0}\u{7f}\u{85}", "İstanbul", "100.64.0.9", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff",
    ]

    private static func text(_ random: inout RandomNumbers) -> String {
        (0..<Int.random(in: 0...2, using: &random)).map { _ in nasty.randomElement(using: &random) ?? "" }.joined()
    }

    private static func number(_ random: inout RandomNumbers) -> UInt64 {
        ([0, 1, 999, 1_000_000, .max / 2, .max, random.next()] as [UInt64]).randomElement(using: &random) ?? 0
    }

    private static func figure(_ random: inout RandomNumbers) -> Double {
        [0, -1, 0.001, 17.8, 1e9, 1e300, .nan, .infinity, -.infinity, .leastNonzeroMagnitude]
            .randomElement(using: &random) ?? 0
    }

    private static func date(_ random: inout RandomNumbers) -> Date {
        [
            .distantPast, .distantFuture, Watched.start, Date(timeIntervalSince1970: 0),
            Date(timeIntervalSince1970: -1e15),
        ]
        .randomElement(using: &random) ?? .now
    }

    private static func look(_ random: inout RandomNumbers) -> Look {
        var look = Watched.look(Int.random(in: 0...5, using: &random))
        look.moment = Moment(nanoseconds: number(&random), date: date(&random))
        look.status.version = text(&random)
        look.status.startedAt = Bool.random(using: &random) ? date(&random) : Watched.start
        look.status.state = [.forwarding, .waiting, .stopping].randomElement(using: &random) ?? .waiting
        look.status.waitingFor = Bool.random(using: &random) ? nil : [text(&random), text(&random)]
        look.status.forwarded.egress = .init(packets: number(&random), bytes: number(&random), superPackets: 0)
        look.status.forwarded.ingress = .init(packets: number(&random), bytes: number(&random), superPackets: 0)
        look.status.exitAddresses = .init(v4: text(&random), v6: text(&random))
        look.status.notes = [text(&random), text(&random)]
        look.status.drops = ["a": number(&random), text(&random) + "b": number(&random)]
        look.status.guard = .init(
            mode: Bool.random(using: &random) ? .on : .observe, interfaces: [text(&random)],
            refused: ["a": .init(packets: number(&random)), text(&random) + "b": .init(packets: number(&random))],
            leaked: .init(packets: number(&random)))
        look.status.vpn = .init(state: .stale, since: date(&random))
        look.status.vpn?.because = text(&random)
        look.status.vpn?.lastHandshake = date(&random)
        look.status.flows.live = Int(truncatingIfNeeded: number(&random))
        look.status.flows.opened = number(&random)
        if Bool.random(using: &random) {
            look.status.cap = .init(
                limitBytes: Bool.random(using: &random) ? nil : number(&random), usedBytes: number(&random),
                stage: text(&random), rateBitPerS: number(&random), periodEnd: date(&random))
            look.status.cap?.queue = [
                "egress": .init(
                    waitingPackets: Int(truncatingIfNeeded: number(&random)), delayMeanMs: figure(&random),
                    delayLongestMs: figure(&random)),
                text(&random) + "x": .init(
                    waitingPackets: .max, delayMeanMs: figure(&random), delayLongestMs: figure(&random)),
            ]
            look.quota = Watched.quota(projected: number(&random))
        }
        var flows: [FlowsReport.Flow] = []
        for index in 0..<Int.random(in: 0...60, using: &random) {
            var flow = Watched.flow(index % 20, 0)
            (flow.client, flow.remote) = (text(&random), text(&random))
            (flow.transport, flow.state) = (text(&random), text(&random))
            (flow.egressBytes, flow.ingressBytes) = (number(&random), number(&random))
            (flow.firstSeen, flow.lastSeen) = (date(&random), date(&random))
            flows.append(flow)
        }
        look.flows.flows = flows
        if Bool.random(using: &random) {
            look.clients = (0..<Int.random(in: 0...9, using: &random)).map { _ in
                .init(
                    client: text(&random), name: Bool.random(using: &random) ? nil : text(&random),
                    flows: Int(truncatingIfNeeded: number(&random)), egressBytes: number(&random),
                    ingressBytes: number(&random))
            }
        }
        look.events = (0..<Int.random(in: 0...40, using: &random)).map { _ in
            .init(at: date(&random), level: text(&random), message: text(&random))
        }
        return look
    }
}
