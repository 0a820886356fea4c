import Testing

@testable import Node

@Suite("What a setting means")
struct NodeSettingsTests {
    @Test("Every value is read as what it means")
    func values() throws {
        let settings = try NodeSettings(
            Spec(environment: [
                "FORWARDER_TAILNET": "ts0", "FORWARDER_VPN": "wg0", "FORWARDER_UPLINK": "ens3", "FORWARDER_IO": "poll",
                "FORWARDER_FLOWS": "1048576", "FORWARDER_BINDING_PORTS": "1024-65535",
                "FORWARDER_LOCAL": "10.0.0.0/8, fd00::/8", "FORWARDER_CONTROL_SOCKET": "/tmp/c.sock",
                "FORWARDER_LOG": "debug", "FORWARDER_VPN_ENDPOINT": "[2001:db8::1]:51820",
                "FORWARDER_VPN_FWMARK": "0xca6c", "FORWARDER_VPN_STALE": "3m",
            ]))
        #expect(settings.tailnet == "ts0")
        #expect(settings.vpn == "wg0")
        #expect(settings.uplink == "ens3")
        #expect(settings.io == .poll)
        #expect(settings.flows == 1_048_576)
        #expect(settings.bindingPorts == PortRange(first: 1_024, last: 65_535))
        #expect(settings.local.map(\.description) == ["10.0.0.0/8", "fd00::/8"])
        #expect(settings.controlSocket == "/tmp/c.sock")
        #expect(settings.log == .debug)
        #expect(settings.tunnel.endpoint?.description == "[2001:db8::1]:51820")
        #expect(settings.tunnel.mark == 51_820)
        #expect(settings.tunnel.stale == Seconds(180))
    }

    @Test(
        "A wrong value is refused, and the refusal names key, value and a correct example",
        arguments: [
            ("tailnet", ""), ("tailnet", "sixteen-octets-x"), ("tailnet", "a/b"), ("tailnet", "a b"),
            ("tailnet", "a:b"), ("tailnet", "a\tb"), ("tailnet", "."), ("tailnet", ".."), ("tailnet", "fwd-in"),
            ("vpn", "fwd-out"), ("vpn", "tun\u{0}0"), ("vpn", "nöch-fünf-ümläü"), ("uplink", ""),
            ("io", "epoll"), ("io", "URING"), ("io", ""),
            ("flows", "1023"), ("flows", "1048577"), ("flows", "-5"), ("flows", "+2048"), ("flows", "4k"),
            ("flows", "65,536"), ("flows", "99999999999999999999999"), ("flows", " 2048"), ("flows", ""),
            ("flows", "٢٠٤٨"),
            ("binding_ports", "80-90"), ("binding_ports", "2000"), ("binding_ports", "3000-2000"),
            ("binding_ports", "2000-70000"), ("binding_ports", "2000-3000-4000"), ("binding_ports", "-"),
            ("binding_ports", "2000-"), ("binding_ports", ""),
            ("local", "10.0.0.1/8"), ("local", "10.0.0.0/33"), ("local", "10.0.0/8"), ("local", "fd00::/129"),
            ("local", "10.0.0.0/8,"), ("local", "10.0.0.0/8,,fd00::/8"), ("local", "10.0.0.0/-1"),
            ("local", "host/24"),
            ("control_socket", "relative.sock"), ("control_socket", ""), ("control_socket", "/run/"),
            ("control_socket", "/" + String(repeating: "x", count: 107)),
            ("vpn_endpoint", ""), ("vpn_endpoint", "198.51.100.1"), ("vpn_endpoint", "198.51.100.1:0"),
            ("vpn_endpoint", "vpn.example.net:51820"), ("vpn_endpoint", "2001:db8::1:51820"),
            ("vpn_endpoint", "127.0.0.1:51820"), ("vpn_endpoint", "0.0.0.0:51820"),
            ("vpn_fwmark", ""), ("vpn_fwmark", "0"), ("vpn_fwmark", "0x0"), ("vpn_fwmark", "0x"),
            ("vpn_fwmark", "0x100000000"), ("vpn_fwmark", "4294967296"), ("vpn_fwmark", "-1"), ("vpn_fwmark", "ca6c"),
            ("vpn_fwmark", "0x-1"), ("vpn_fwmark", "0x+1"),
            ("vpn_fwmark", "0x80000"), ("vpn_fwmark", "576204"), ("vpn_fwmark", "0x3008ffff"),
            ("vpn_fwmark", "0x1000000"), ("vpn_fwmark", "0x200ca6c"), ("vpn_fwmark", "16777217"),
            ("dns_direct", "100.100.100.100"), ("dns_vpn", "100.100.100.100"), ("dns_vpn", "fd7a:115c:a1e0::53"),
            ("dns_direct", "FD7A:115C:A1E0:0::53"), ("dns_vpn", "127.0.0.1"), ("dns_vpn", ""),
            ("vpn_stale", ""), ("vpn_stale", "180"), ("vpn_stale", "s"), ("vpn_stale", "1s"), ("vpn_stale", "0m"),
            ("vpn_stale", "61m"), ("vpn_stale", "3601s"), ("vpn_stale", "1.5m"), ("vpn_stale", "1h"),
            ("vpn_stale", "-3m"), ("vpn_stale", "9223372036854775807m"),
            ("admin_listen", ""), ("admin_listen", "10586"), ("admin_listen", "127.0.0.1:0"),
            ("admin_listen", "224.0.0.1:10586"), ("admin_listen", "255.255.255.255:10586"),
            ("admin_listen", "[ff02::1]:10586"), ("admin_listen", "::1:10586"), ("admin_listen", "localhost:10586"),
            ("log", "loud"), ("log", "critical"), ("log", "Info"),
        ])
    func wrongValues(key: String, text: String) throws {
        let setting = try #require(Setting.catalogue.first { $0.key == key })
        let refused = try #require(refusal { try NodeSettings(Spec(environment: [setting.variable: text])) })
        #expect(refused.exitCode == .usage)
        #expect(refused.couldNot.contains(key))
        #expect(refused.because.contains("\"\(text)\""))
        #expect(refused.because.contains(setting.variable))
        #expect(refused.remedy == "write for example \(setting.variable)=\(setting.example)")
    }

    @Test("The remedy is written the way the wrong value was")
    func spelling() throws {
        let flag = try #require(refusal { try NodeSettings(Spec(flags: ["flows": "1"])) })
        #expect(flag.remedy == "write for example --flows 65536")
        let file = try SettingsFile(yaml: "flows: 1", path: "f.yaml")
        let key = try #require(refusal { try NodeSettings(Spec(file: file)) })
        #expect(key.remedy == "write for example flows: 65536")
        #expect(key.because.contains("flows in f.yaml"))
    }

    @Test("The ends of each range are in it")
    func rangeEnds() throws {
        for (key, text) in [
            ("flows", "1024"), ("flows", "1048576"), ("binding-ports", "1024-1024"), ("tailnet", "fifteen-octets-"),
            ("vpn-stale", "2s"), ("vpn-stale", "60m"), ("vpn-fwmark", "1"), ("vpn-fwmark", "0xffffffff"),
            ("vpn-fwmark", "0x180000"), ("vpn-fwmark", "0x3000000"), ("vpn-fwmark", "0x10000"),
            ("dns-vpn", "100.100.100.101"), ("dns-direct", "100.64.0.1"),
            ("vpn-endpoint", "10.0.0.1:65535"), ("local", ""), ("local", "0.0.0.0/1,8000::/1,10.1.2.3"),
        ] {
            #expect(throws: Never.self) { try NodeSettings(Spec(flags: [key: text])) }
        }
    }

    @Test("What comes in by the tailnet edge must leave by another; vpn and uplink may be one")
    func edgesFitEachOther() throws {
        let same = try #require(refusal { try NodeSettings(Spec(flags: ["tailnet": "tun0"])) })
        #expect(same.couldNot.contains("tailnet and vpn") && same.because.contains("tun0"))
        let uplink = try #require(refusal { try NodeSettings(Spec(flags: ["uplink": "tailscale0"])) })
        #expect(uplink.couldNot.contains("tailnet and uplink"))
        #expect(try NodeSettings(Spec(flags: ["vpn": "eth0", "uplink": "eth0"])).vpn == "eth0")
    }

    @Test(
        "The nearest name is the one with the fewest edits, and none where nothing is near",
        arguments: [
            ("flwos", "flows"), ("binding-ports", "binding_ports"), ("tailent", "tailnet"), ("vpm", "vpn"), ("ip", nil),
            ("controlsocket", "control_socket"), ("logg", "log"), ("mtu", nil), ("cop", "cap"),
            ("cap.metre", "cap.meter"), ("cap_zone", "cap.zone"), ("", nil), ("x", nil),
            ("tunnel", nil), ("controls", nil),
        ] as [(String, String?)])
    func nearestNames(given: String, expected: String?) {
        #expect(nearest(to: given, among: Setting.catalogue.map(\.key)) == expected)
    }

    @Test("The edit distance agrees with its definition on every short word")
    func editDistanceOracle() {
        let words = ["", "a", "b", "ab", "ba", "aab", "abb", "bab", "abab", "bbaa"]
        for one in words {
            for other in words {
                #expect(editDistance(one, other) == distanceByDefinition(Array(one)[...], Array(other)[...]))
            }
        }
    }

    private func distanceByDefinition(_ one: ArraySlice<Character>, _ other: ArraySlice<Character>) -> Int {
        guard let first = one.first, let second = other.first else { return one.count + other.count }
        let replaced = distanceByDefinition(one.dropFirst(), other.dropFirst()) + (first == second ? 0 : 1)
        return min(
            replaced, distanceByDefinition(one.dropFirst(), other) + 1,
            distanceByDefinition(one, other.dropFirst()) + 1)
    }
}
