import Foundation
import Testing

@testable import Node

@Suite("The shape of an answer")
struct ReportTests {
    @Test("Status is one JSON object with exactly these keys and forms")
    func status() throws {
        let json = String(decoding: try Examples.status.json(), as: UTF8.self)
        #expect(
            json == #"{"admin_listen":"127.0.0.1:10586","bindings":{"capacity":16384,"in_use":3},"#
                + #""control_plane_marking":"tailscaled","#
                + #""drops":{"bad_checksum":1,"no_binding":4},"#
                + #""edges":{"tailnet":{"index":4,"kind":"layer3","name":"tailscale0"},"#
                + #""uplink":{"index":2,"kind":"ethernet","name":"eth0"},"#
                + #""vpn":{"index":5,"kind":"layer3","name":"tun0"}},"#
                + #""egress":{"eth0":{"control":{"bytes":1500,"packets":2}}},"errors":{"sent":{"packet_too_big":3},"suppressed":1},"events":[],"#
                + #""exit_addresses":{"v4":"198.51.100.7"},"#
                + #""flows":{"capacity":65536,"evicted":1,"expired":3,"flushed":2,"live":3,"opened":7},"#
                + #""forwarded":{"egress":{"bytes":12345678,"packets":10,"super_packets":2},"fragmented":5,"#
                + #""hairpin":{"bytes":0,"packets":0,"super_packets":0},"#
                + #""ingress":{"bytes":0,"packets":0,"super_packets":0}},"#
                + #""guard":{"classes":{"control":{"bytes":1500,"packets":2}},"interfaces":["eth0"],"#
                + #""leaked":{"bytes":0,"packets":0},"mode":"on","#
                + #""refused":{"client_dns":{"bytes":60,"packets":1}}},"io":"poll","#
                + #""io_reason":"io_uring_setup: Operation not permitted","local":["192.168.7.0/24"],"notes":[],"pid":42,"#
                + #""ports":{"inside":{"name":"fwd-in","offloads":"all"},"#
                + #""outside":{"name":"fwd-out","offloads":"no_uso"}},"schema":"forwarder.status/1","#
                + #""started_at":"2025-11-21T00:00:00Z","state":"forwarding","version":"\#(version)"}"#)
    }

    @Test("Of the VPN, what is known is told, and what is not is left out")
    func vpn() throws {
        var report = Examples.status
        report.vpn = .init(state: .up, since: Examples.start)
        #expect(
            String(decoding: try report.json(), as: UTF8.self)
                .hasSuffix(#","vpn":{"endpoints":[],"since":"2025-11-21T00:00:00Z","state":"up"}}"#))
        report.vpn?.state = .stale
        report.vpn?.because = "silence"
        report.vpn?.wireguard = .kernel
        report.vpn?.lastHandshake = Examples.start
        report.vpn?.receivedBytes = 92
        report.vpn?.sentBytes = 148
        report.vpn?.fwmark = 51_820
        report.vpn?.endpoints = ["198.51.100.1:51820"]
        #expect(
            String(decoding: try report.json(), as: UTF8.self)
                .hasSuffix(
                    #","vpn":{"because":"silence","endpoints":["198.51.100.1:51820"],"fwmark":51820,"#
                        + #""last_handshake":"2025-11-21T00:00:00Z","received_bytes":92,"sent_bytes":148,"#
                        + #""since":"2025-11-21T00:00:00Z","state":"stale","wireguard":"kernel"}}"#))
        #expect(try StatusReport(json: report.json()) == report)
    }

    @Test("Of the cap, what is left of it is told, and what waits because of it")
    func cap() throws {
        var report = Examples.status
        report.cap = .init(usedBytes: 5, periodEnd: Examples.start)
        #expect(
            String(decoding: try report.json(), as: UTF8.self)
                .contains(#","cap":{"period_end":"2025-11-21T00:00:00Z","queue":{},"used_bytes":5},"control_plane"#))
        report.cap?.limitBytes = 12
        report.cap?.remainingBytes = 7
        report.cap?.stage = "25% rate 4Mbit/s"
        report.cap?.rateBitPerS = 4_000_000
        report.cap?.queue = [
            "egress": .init(
                waitingPackets: 3, waitingBytes: 4_500, delayMeanMs: 1.25, delayLongestMs: 20, marked: 9)
        ]
        #expect(
            String(decoding: try report.json(), as: UTF8.self)
                .contains(
                    #","cap":{"limit_bytes":12,"period_end":"2025-11-21T00:00:00Z","queue":{"egress":"#
                        + #"{"delay_longest_ms":20,"delay_mean_ms":1.25,"marked":9,"waiting_bytes":4500,"waiting_packets":3}},"#
                        + #""rate_bit_per_s":4000000,"remaining_bytes":7,"stage":"25% rate 4Mbit/s","used_bytes":5},"#))
        #expect(try StatusReport(json: report.json()) == report)
    }

    @Test("A revealed flow is told with exactly these keys and forms")
    func flows() throws {
        let report = FlowsReport(busiest: [Examples.flow(7)], total: 9, addresses: .revealed)
        #expect(
            String(decoding: try report.json(), as: UTF8.self)
                == #"{"flows":[{"client":"100.64.0.9","client_port":40000,"egress_bytes":7,"egress_packets":1,"#
                + #""first_seen":"2025-11-21T00:00:00Z","ingress_bytes":3,"ingress_packets":2,"#
                + #""last_seen":"2025-11-21T00:00:00Z","outside_port":16384,"remote":"203.0.113.5","#
                + #""remote_port":443,"state":"established","transport":"tcp"}],"masked":false,"#
                + #""schema":"forwarder.flows/1","shown":1,"total":9}"#)
    }

    @Test("A masked flow holds no address and no port that tells who it was")
    func maskedFlow() throws {
        let report = FlowsReport(busiest: [Examples.flow(7)], total: 9, addresses: .masked)
        let json = String(decoding: try report.json(), as: UTF8.self)
        #expect(report.masked)
        for secret in ["100.64.0.9", "0.113.5", "40000", "16384"] { #expect(!json.contains(secret)) }
        #expect(report.flows[0].client == "100.64.*.*")
        #expect(report.flows[0].remote == "203.*.*.*")
        #expect(report.flows[0].remotePort == 443)
    }

    @Test("Only a well-known service's port survives the mask")
    func maskedPorts() {
        var flow = Examples.flow(1)
        flow.remotePort = 1_024
        #expect(flow.masked.remotePort == nil)
        flow.remotePort = 1_023
        #expect(flow.masked.remotePort == 1_023)
        flow.transport = "icmp"
        flow.remotePort = 8
        #expect(flow.masked.remotePort == nil)
    }

    @Test(
        "An address keeps its network and nothing more",
        arguments: [
            ("203.0.113.5", 1, "203.*.*.*"), ("100.101.102.103", 2, "100.101.*.*"),
            ("2001:db8::1", 1, "2001:*"), ("fd7a:115c:a1e0::53", 2, "fd7a:*"), ("::1", 1, "0:*"),
        ])
    func masks(address: String, octets: Int, masked: String) {
        #expect(maskedAddress(address, keeping: octets) == masked)
    }

    @Test("A refusal is an object too")
    func refusalReport() throws {
        let refusal = Refusal(couldNot: "run", because: "no tun", remedy: nil, exitCode: .notPermitted)
        #expect(
            String(decoding: try RefusalReport(refusal).json(), as: UTF8.self)
                == #"{"error":{"because":"no tun","could_not":"run","exit_code":77},"schema":"forwarder.error/1"}"#)
    }

    @Test(
        "A request survives the wire",
        arguments: [
            ControlRequest.status, .stop, .flows(top: 1, addresses: .masked), .flows(top: 1_000, addresses: .revealed),
            .clients(top: 20, addresses: .masked), .clients(top: 7, addresses: .revealed),
        ])
    func request(request: ControlRequest) throws {
        #expect(try ControlRequest(line: request.line) == request)
    }

    @Test("Clients are one JSON object with exactly these keys and forms")
    func clients() throws {
        var report = ClientsReport(
            busiest: [Examples.client(9)],
            others: .init(flows: 4, egressPackets: 1, egressBytes: 2, ingressPackets: 3, ingressBytes: 4), total: 2,
            addresses: .revealed, since: Examples.start, note: "no names")
        #expect(
            String(decoding: try report.json(), as: UTF8.self)
                == #"{"clients":[{"client":"100.64.0.9","egress_bytes":9,"egress_packets":1,"#
                + #""first_seen":"2025-11-21T00:00:00Z","flows":3,"flows_live":1,"ingress_bytes":3,"ingress_packets":2,"#
                + #""last_seen":"2025-11-21T00:00:00Z","name":"laptop"}],"masked":false,"note":"no names","#
                + #""others":{"egress_bytes":2,"egress_packets":1,"flows":4,"ingress_bytes":4,"ingress_packets":3},"#
                + #""schema":"forwarder.clients/1","shown":1,"since":"2025-11-21T00:00:00Z","total":2}"#)
        #expect(try ClientsReport(json: report.json()) == report)
        report = ClientsReport(busiest: [Examples.client(9)], total: 1, addresses: .masked)
        let json = String(decoding: try report.json(), as: UTF8.self)
        #expect(json.contains(#""client":"100.64.*.*""#) && !json.contains("laptop") && !json.contains("100.64.0"))
    }

    @Test("A thousand clients with the longest names there are fit an answer")
    func longClients() throws {
        var client = Examples.client(.max)
        client.client = "fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff"
        client.name = String(repeating: "\"", count: 253)
        (client.egressBytes, client.ingressBytes, client.flows) = (.max, .max, .max)
        let report = ClientsReport(
            busiest: Array(repeating: client, count: 1_000), total: 1_000, addresses: .revealed)
        #expect(try report.json().count < 1 << 20)
    }

    @Test("A short request means twenty flows, masked")
    func shortRequest() throws {
        #expect(try ControlRequest(line: #"{"verb":"clients"}"#.utf8) == .clients(top: 20, addresses: .masked))
        #expect(
            try ControlRequest(line: #"{"verb":"flows"}"#.utf8) == .flows(top: 20, addresses: .masked))
    }

    @Test("The busiest are those that a full sort puts first", arguments: [0, 1, 2, 7, 20, 1_000])
    func busiest(count: Int) {
        var random = SystemRandomNumberGenerator()
        // Few distinct weights, so that ties are many.
        let weights = (0..<500).map { _ in UInt64.random(in: 0...60, using: &random) }
        var busiest = Busiest<UInt64>(count)
        for weight in weights { busiest.offer(weight, weight) }
        #expect(busiest.sorted() == Array(weights.sorted(by: >).prefix(count)))
    }
}
