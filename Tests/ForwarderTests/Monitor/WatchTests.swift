import Foundation
import Testing

@testable import Node
@testable import forwarder

@Suite("What a monitor makes of its looks")
struct WatchTests {
    @Test("Speeds are what was counted between two looks, by the clock that is never set")
    func speeds() throws {
        var later = Watched.look(0)
        later.moment.nanoseconds += 2_000_000_000
        later.moment.date = .distantPast
        later.status.forwarded.egress.bytes += 1_000_000
        later.status.forwarded.ingress.packets += 500
        later.status.drops["no_flow", default: 0] += 10
        later.status.guard?.refused["unmarked", default: .init()].packets += 4
        var watch = Watch(Watched.look(0))
        #expect(watch.speeds == nil)
        watch.take(later)
        let speeds = try #require(watch.speeds)
        #expect(speeds.egressBitPerS == 4_000_000)
        #expect(speeds.ingressBitPerS == 0)
        #expect(speeds.ingressPacketsPerS == 250)
        #expect(speeds.dropsPerS == ["no_flow": 5])
        #expect(speeds.refusedPerS == 2)
        #expect(watch.course.samples == [.init(egress: 4_000_000, ingress: 0, delay: 0)])
    }

    @Test("A node that began anew is compared with nothing, and that is told")
    func anew() {
        var watch = Watched.watch(seconds: 3)
        var next = Watched.look(4)
        next.status.pid = 43
        next.status.forwarded = .init()
        watch.take(next)
        #expect(watch.speeds == nil)
        #expect(watch.flows.allSatisfy { $0.egress == nil })
        #expect(watch.course.samples.count == 4 && watch.course.samples.last == .some(nil))
        #expect(watch.events.map(\.message) == ["another node answers, or this one began anew"])
    }

    @Test("A silence is a gap in the course, told once when it begins and once when it ends")
    func silence() {
        var watch = Watched.watch(seconds: 3)
        for second in 4...9 { watch.miss("nobody is there", at: Watched.moment(Double(second)).date) }
        #expect(watch.silence == "nobody is there")
        #expect(watch.course.samples.suffix(6).allSatisfy { $0 == nil })
        watch.take(Watched.look(10))
        #expect(watch.silence == nil)
        #expect(watch.speeds != nil)
        #expect(
            watch.events.map(\.message) == ["the node does not answer", "the node answers again, after 7 s"])
    }

    @Test("What is remembered is bounded, however long it lasts")
    func memory() {
        var watch = Watched.watch(seconds: 2)
        for second in 3...3_000 {
            if second % 2 == 0 {
                watch.take(Watched.look(second))
            } else {
                watch.miss("gone", at: Watched.moment(Double(second)).date)
            }
        }
        #expect(watch.course.samples.count == 512)
        #expect(watch.events.count == 32)
    }

    @Test("A flow's speed is its own, also of masked ones that look the same")
    func flows() {
        var first = Watched.flow(0, 0)
        first.client = "100.64.*.*"
        first.clientPort = nil
        first.outsidePort = nil
        var second = first
        (first.egressBytes, first.ingressBytes) = (1_000, 10_000)
        (second.egressBytes, second.ingressBytes) = (500, 600)
        var (later, other) = (first, second)
        later.egressBytes += 250
        other.ingressBytes += 1_000
        // Begun a moment ago, and not seen before.
        var fresh = first
        (fresh.egressBytes, fresh.ingressBytes) = (9, 9)
        fresh.firstSeen = first.firstSeen.addingTimeInterval(60)
        let rates = rated([later, other, fresh], since: [first, second], seconds: 2)
        #expect(rates.map(\.egress) == [1_000, 0, nil])
        #expect(rates.map(\.ingress) == [0, 4_000, nil])
        #expect(rated([first], since: nil, seconds: 1)[0].egress == nil)
        #expect(rated([first], since: [first], seconds: 0)[0].egress == nil)
    }

    @Test("Clients are counted together from their flows where the node does not tell them")
    func clients() {
        let watch = Watched.watch(seconds: 2)
        #expect(watch.clients.map(\.subject.client) == ["100.64.*.*"])
        #expect(watch.clients.map(\.subject.flows) == [20])
        var told = Watched.look(3)
        told.clients = [.init(client: "100.64.*.*", name: nil, flows: 2, egressBytes: 1, ingressBytes: 2)]
        var other = watch
        other.take(told)
        #expect(other.clients.map(\.subject.flows) == [2])
        #expect(other.clients[0].egress == nil)
        told.moment = Watched.moment(4)
        told.clients?[0].ingressBytes = 1_002
        other.take(told)
        #expect(other.clients[0].ingress == 8_000)
    }

    @Test("Whoever is to be masked is gone at once, before the next look")
    func masked() {
        var watch = Watched.watch(seconds: 2) { look in
            look.flows = FlowsReport(
                busiest: [Watched.flow(0, 2)], total: 1, addresses: .revealed)
        }
        let style = Style(isColoured: false, isUnicode: true)
        func picture(_ watch: Watch) -> String {
            Picture(of: watch, in: .usual, style, at: Watched.moment(2)).text(in: style)
        }
        #expect(picture(watch).contains("100.64.0.9:40000"))
        watch.hideAddresses()
        #expect(!picture(watch).contains("100.64."))
        #expect(watch.look.flows.masked)
    }

    @Test(
        "Bars are as high as their value is beside the highest, and nothing is a gap",
        arguments: [
            ([0, 1, 4, 8], true, "▁▂▅█"), ([8, nil, 8], true, "█ █"), ([.nan, -1, .infinity, 2], false, " _ #"),
            ([], true, "    "), ([0, 0], true, "  ▁▁"), ([1, 2, 3, 4, 5, 6, 8], true, "▅▆▇█"),
        ] as [([Double?], Bool, String)])
    func bars(values: [Double?], isUnicode: Bool, text: String) {
        let style = Style(isColoured: false, isUnicode: isUnicode)
        #expect(sparkline(values, width: text.count, style) == text)
    }

    @Test("A gauge is as full as its share, and marks another where that lies within")
    func gauges() {
        let style = Style(isColoured: false, isUnicode: false)
        #expect(gauge(0.5, mark: nil, width: 12, style) == "[#####.....]")
        #expect(gauge(0.5, mark: 0.8, width: 12, style) == "[#####...|.]")
        #expect(gauge(2, mark: 3, width: 6, style) == "[####]")
        #expect(gauge(.nan, mark: .nan, width: 6, style) == "[....]")
        #expect(gauge(1, mark: 0, width: 1, style) == "[]")
    }

    @Test(
        "Speeds are told in the largest unit of which there is one",
        arguments: [
            (0, "0 bit/s"), (999, "999 bit/s"), (1_000, "1.0 kbit/s"), (84_310_000, "84.3 Mbit/s"), (.nan, "?"),
            (-1, "?"), (.infinity, "?"), (2.5e18, "2.5 Ebit/s"),
        ] as [(Double, String)])
    func speed(bits: Double, text: String) {
        #expect(speedText(bits) == text)
    }

    @Test(
        "Many are told in thousands and more",
        arguments: [(0, "0"), (9_999, "9999"), (12_345, "12.3 k"), (1_000_000, "1.0 M"), (.max, "18.4 E")]
            as [(UInt64, String)])
    func counts(count: UInt64, text: String) {
        #expect(countText(count) == text)
    }

    @Test("The time of day is told in UTC, before 1970 as well")
    func clock() {
        #expect(clockText(Watched.start) == "00:00:00Z")
        #expect(clockText(Date(timeIntervalSince1970: 86_399.9)) == "23:59:59Z")
        #expect(clockText(Date(timeIntervalSince1970: -1)) == "23:59:59Z")
        #expect(clockText(.distantPast).count == 9)
    }

    @Test("Letters are keys; arrows, function keys and what is no key are passed over")
    func keys() {
        #expect(
            Key.keys(in: Array("prba v".utf8)) == [.pause, .order(.rate), .order(.bytes), .order(.age), .pause, .mask])
        #expect(Key.keys(in: Array("\u{1b}[A\u{1b}[15~\u{1b}OPq".utf8)) == [.quit])
        #expect(Key.keys(in: [0x1b]).isEmpty)
        #expect(Key.keys(in: [0x03]) == [.quit])
        #expect(Key.keys(in: Array("x\u{e9}\u{fffd}".utf8) + [0xff, 0x80]).isEmpty)
        #expect(Key.keys(in: Array("\u{1b}[".utf8)).isEmpty)
    }

    @Test("Colour and signs are what the person's environment has")
    func styles() {
        func style(_ environment: [String: String], isTerminal: Bool = true) -> (Bool, Bool) {
            let style = Style(environment: environment, isTerminal: isTerminal)
            return (style.isColoured, style.isUnicode)
        }
        #expect(style(["TERM": "xterm", "LANG": "de_DE.UTF-8"]) == (true, true))
        #expect(style(["TERM": "xterm", "LANG": "C.utf8", "LC_ALL": "C"]) == (true, false))
        #expect(style(["TERM": "xterm", "LC_ALL": "", "LC_CTYPE": "C.UTF-8"]) == (true, true))
        #expect(style(["TERM": "xterm", "NO_COLOR": "1"]) == (false, false))
        #expect(style(["TERM": "xterm", "NO_COLOR": ""]) == (true, false))
        #expect(style(["TERM": "dumb"]) == (false, false))
        #expect(style([:]) == (false, false))
        #expect(style(["TERM": "xterm", "LANG": "C.UTF-8"], isTerminal: false) == (false, true))
    }
}
