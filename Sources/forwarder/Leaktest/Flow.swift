import Lab

/// Something that Tailscale, a client or a stranger sends: a row of what separation must cover.
struct Flow: Sendable {
    /// What decides where it may be seen.
    enum Kind: Sendable {
        /// Tailscale's own, by tailscaled's mark: never on the VPN.
        case control
        /// The same without a mark, in tailscaled's cgroup.
        case unmarkedControl
        /// The same for Tailscale's names, by the stub resolver.
        case controlNames
        /// A client's own packets: never on the uplink, and nowhere where nobody may forward.
        case client
        /// A client's that says it is the exit address, and is refused by everybody.
        case impostor
        /// Clients' lookups out of tailscaled, unmarked, as its own are: never on the uplink.
        case names
        /// The same, with tailscaled's mark.
        case markedNames
        /// Other names, by the stub resolver: never on the uplink.
        case stubNames
        /// From the VPN to the tailnet: neither there nor on the uplink.
        case unsolicited
    }

    let name: String
    let kind: Kind
    let families: [Family]
    /// Where a probe goes, if nobody else goes there; of the others the payload tells.
    let destination: (@Sendable (Nonce) -> DualStack)?
    /// Puts one probe into the volley.
    let load: Load

    typealias Load = @Sendable (_ volley: inout Volley, _ nonce: Nonce, _ family: Family) -> Void

    init(
        _ name: String, _ kind: Kind, _ families: [Family] = Family.allCases,
        to destination: (@Sendable (Nonce) -> DualStack)? = \.address, load: @escaping Load
    ) {
        self.name = name
        self.kind = kind
        self.families = families
        self.destination = destination
        self.load = load
    }

    static let all = tailscale + clients + names + [unsolicited]
}

// MARK: Rows 1 to 7

extension Flow {
    private static let bypass: UInt32 = 0x80000

    private static let tailscale = [
        marked("control, TCP 80", .tcp, 80), marked("control, TCP 443", .tcp, 443),
        marked("DERP, TCP 8443", .tcp, 8443), marked("logs, TCP 443", .tcp, 443),
        marked("netcheck, ICMP", .icmp, 0), peer("STUN, UDP 3478", 3478), peer("peers, UDP 41641", 41641),
        peer("peers, UDP 1024", 1024),
        toGateway("NAT-PMP, UDP 5351", 5351), toGateway("SSDP, UDP 1900", 1900),
        Flow("updates, TCP 443 unmarked", .unmarkedControl) { volley, nonce, family in
            let to = family.of(nonce.address)
            volley.byTailscaled.append(.probe(.tcp, to, port: 443, mark: 0, saying: nonce.text))
        },
        Flow("Tailscale's names, by the stub", .controlNames, [.v4], to: nil) { volley, nonce, _ in
            let name = "derp\(nonce.text).tailscale.com"
            volley.byTailscaled.append(.probe(.udp, stub, port: 53, mark: 0, saying: name))
        },
    ]

    private static let stub = "127.0.0.51"

    private static func marked(_ name: String, _ kind: TailscaledProcess.Deed.`Protocol`, _ port: UInt16) -> Flow {
        Flow(name, .control) { volley, nonce, family in
            let to = family.of(nonce.address)
            volley.byTailscaled.append(.probe(kind, to, port: port, mark: bypass, saying: nonce.text))
        }
    }

    private static func peer(_ name: String, _ port: UInt16) -> Flow {
        Flow(name, .control) { volley, nonce, family in
            volley.byTailscaled.append(.peerProbe(family.of(nonce.address), port: port, saying: nonce.text))
        }
    }

    private static func toGateway(_ name: String, _ port: UInt16) -> Flow {
        Flow(name, .control, [.v4], to: nil) { volley, nonce, family in
            let to = family.of(volley.addresses.gateway)
            volley.byTailscaled.append(.probe(.udp, to, port: port, mark: bypass, .unconnected, saying: nonce.text))
        }
    }
}

// MARK: Row 8

extension Flow {
    private static let clients =
        [22, 53, 80, 443].map { port in
            client("client TCP \(port)") { nonce, from, to in
                [RawPacket.syn(from: from, sourcePort(nonce), to: to, port, sequence: nonce.number).octets]
            }
        }
        + [53, 443, 3478, 41641].map { port in
            client("client UDP \(port)") { nonce, from, to in
                [RawPacket(from: from, sourcePort(nonce), to: to, port, nonce.payload(octets: 44)).octets]
            }
        } + [
            client("client ICMP") { nonce, from, to in
                [
                    RawPacket.echo(
                        from: from, to: to, identifier: sourcePort(nonce), nonce.payload(octets: 44)
                    ).octets
                ]
            },
            client("client fragments") { nonce, from, to in
                RawPacket(
                    from: from, sourcePort(nonce), to: to, 4500, nonce.payload(octets: 1992),
                    identification: UInt16(truncatingIfNeeded: nonce.number)
                ).fragments(of: 1000)
            },
            spoofed(asHome) { $0.home },
            spoofed("client as the exit address", .impostor) { $0.exit },
            spoofed("client as a stranger") { _ in DualStack(v4: "203.0.113.99", v6: "2001:db8:113::99") },
        ]

    static let asHome = "client as the node's home"

    private static func sourcePort(_ nonce: Nonce) -> UInt16 { 20_000 + UInt16(nonce.number % 20_000) }

    private static func client(
        _ name: String,
        _ packets: @escaping @Sendable (_ nonce: Nonce, _ from: String, _ to: String) -> [[UInt8]]
    ) -> Flow {
        Flow(name, .client) { volley, nonce, family in
            let from = family.of(volley.addresses.client)
            volley.fromClient[family, default: []] += packets(nonce, from, family.of(nonce.address))
        }
    }

    private static func spoofed(
        _ name: String, _ kind: Kind = .client, _ source: @escaping @Sendable (Volley.Addresses) -> DualStack
    ) -> Flow {
        Flow(name, kind) { volley, nonce, family in
            let from = family.of(source(volley.addresses))
            let packet = RawPacket(from: from, 5000, to: family.of(nonce.address), 7, nonce.payload(octets: 44))
            volley.fromClient[family, default: []].append(packet.octets)
        }
    }
}

// MARK: Rows 9 and 10

extension Flow {
    private static let names = [
        Flow("lookups, UDP 53 unmarked", .names) { volley, nonce, family in
            let to = family.of(nonce.address)
            volley.byTailscaled.append(.probe(.udp, to, port: 53, mark: 0, saying: "\(nonce.text).example"))
        },
        Flow("clients' lookups, UDP 53 unmarked", .names) { volley, nonce, family in
            let to = family.of(nonce.address)
            volley.byTailscaled.append(
                .probe(.udp, to, port: 53, mark: 0, .unconnected, saying: "\(nonce.text).example"))
        },
        Flow("clients' lookups, TCP 53 marked", .markedNames) { volley, nonce, family in
            let to = family.of(nonce.address)
            volley.byTailscaled.append(.probe(.tcp, to, port: 53, mark: bypass, saying: nonce.text))
        },
        Flow("clients' lookups, TLS 853 marked", .markedNames) { volley, nonce, family in
            let to = family.of(nonce.address)
            volley.byTailscaled.append(.probe(.tcp, to, port: 853, mark: bypass, saying: nonce.text))
        },
        Flow("clients' lookups, HTTPS marked", .markedNames, to: \.httpsResolver) { volley, nonce, family in
            volley.byTailscaled.append(
                .probe(.tcp, family.of(nonce.httpsResolver), port: 443, mark: bypass, saying: nonce.text))
        },
        Flow("other names, by the stub", .stubNames, [.v4], to: nil) { volley, nonce, _ in
            volley.byTailscaled.append(.probe(.udp, stub, port: 53, mark: 0, saying: "\(nonce.text).example.org"))
        },
    ]

    private static let unsolicited = Flow("unasked, from the VPN", .unsolicited) { volley, nonce, family in
        for to in [volley.addresses.client, volley.addresses.exit] {
            let packet = RawPacket(
                from: family.of(nonce.address), 443, to: family.of(to), 20_000, nonce.payload(octets: 44))
            volley.fromServer[family, default: []].append(packet.octets)
        }
    }
}

extension Nonce {
    /// Of those networks of well-known resolvers that have room for one address each.
    fileprivate var httpsResolver: DualStack {
        DualStack(
            v4: "45.90.\(number & 0x100 == 0 ? 28 : 30).\(number & 0xff)",
            v6: "2606:4700:4700::\(String(number >> 16 | 1, radix: 16)):\(String(number & 0xffff, radix: 16))")
    }
}
