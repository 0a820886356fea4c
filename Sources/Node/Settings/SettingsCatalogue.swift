extension Setting {
    /// Every setting there is, in the order in which help and documentation list them.
    package static let catalogue: [Setting] = [
        Setting(
            "tailnet", \.tailnet, meaning: "edge on which the clients' traffic arrives", example: "tailscale0",
            parse: edgeName),
        Setting(
            "vpn", \.vpn, meaning: "edge by which it leaves", example: "tun0", parse: edgeName),
        Setting(
            "uplink", \.uplink, meaning: "edge that carries both tunnels, and on which the guard stands",
            example: "eth0", byDefault: "each by which a default route leads", parse: edgeName),
        Setting(
            "vpn_endpoint", \.tunnel.endpoint, meaning: "where the VPN's own packets go, over the uplink",
            example: "198.51.100.1:51820", byDefault: "read from the interface where possible", parse: vpnEndpoint),
        Setting(
            "vpn_fwmark", \.tunnel.mark, meaning: "what the VPN's own packets bear, decimal or hexadecimal",
            example: "0xca6c", byDefault: "read from the interface where possible, else 51820", parse: fwmark),
        Setting(
            "vpn_stale", \.tunnel.stale,
            meaning: "how long clients may send into the VPN without an answer before it counts as stale, 2s to 60m",
            example: "180s", parse: seconds),
        Setting(
            "io", \.io, meaning: "how packets are read and written: auto, uring or poll", example: "auto",
            parse: choice),
        Setting(
            "flows", \.flows, meaning: "flows remembered at once, 1024 to 1048576", example: "65536"
        ) { text throws(Misfit) in try wholeNumber(text, in: 1_024...1_048_576) },
        Setting(
            "binding_ports", \.bindingPorts, meaning: "outside ports that flows borrow, none below 1024",
            example: "16384-32767", parse: bindingPorts),
        Setting(
            "local", \.local, meaning: "prefixes kept for the node itself, separated by commas",
            example: "192.168.1.0/24,fd00::/8", byDefault: "none", parse: prefixes),
        Setting(
            "tailscaled_socket", \.tailscaledSocket,
            meaning: "tailscaled's Unix socket, which tells networks to keep as `local` does, and clients' names",
            example: "/var/run/tailscale/tailscaled.sock", parse: socketPath),
        Setting(
            "guard", \.guarding,
            meaning: "what becomes of what must not leave by the uplink: on drops it, observe only counts",
            example: "on", parse: choice),
        Setting(
            "allow", \.allow,
            meaning: "services of the node's whose answers may leave by the uplink, separated by commas, or none",
            example: "tcp/22,udp/161", byDefault: "none", parse: services),
        Setting(
            "dns", \.dns.mode, meaning: "whether names are split between uplink and VPN: on or off", example: "on",
            parse: choice),
        Setting(
            "dns_listen", \.dns.listen, meaning: "where the node's own processes ask: an address of loopback, port 53",
            example: "127.0.0.51:53", parse: resolverEndpoint),
        Setting(
            "dns_direct", \.dns.direct, meaning: "resolver that is asked for Tailscale's names, over the uplink",
            example: "9.9.9.9", parse: resolverAddress),
        Setting(
            "dns_vpn", \.dns.vpn, meaning: "resolver that is asked for all other names, over the VPN",
            example: "10.64.0.1", byDefault: "what /etc/resolv.conf names", parse: resolverAddress),
        Setting(
            "dns_direct_names", \.dns.directNames,
            meaning: "names that are asked over the uplink, too, with all below them, separated by commas",
            example: "login.example.org,vpn.example.net", byDefault: "none", parse: domainNames),
        Setting(
            "cap", \.cap.limit, meaning: "how much may be used in a billing period, or none", example: "35GB",
            byDefault: "none", parse: capLimit),
        Setting(
            "cap.meter", \.cap.meter,
            meaning: "where it is counted: uplink, all that a provider bills, or tunnel, the clients' packets alone",
            example: "uplink", parse: choice),
        Setting(
            "cap.direction", \.cap.direction,
            meaning: "which way of it is counted: both, egress, ingress or max, the larger of the two", example: "both",
            parse: choice),
        Setting(
            "cap.reset_day", \.cap.resetDay,
            meaning: "day of the month on which a period begins, 1 to 31; a month that lacks it begins on its last",
            example: "1"
        ) { text throws(Misfit) in
            try wholeNumber(text, in: 1...31)
        },
        Setting(
            "cap.zone", \.cap.zone, meaning: "time zone by whose clocks that day begins", example: "Europe/Berlin",
            parse: zone),
        Setting(
            "cap.stages", \.cap.stages,
            meaning: "what happens from how much on: warn, rate RATE, pace (evenly until the end) or stop; or none",
            example: "80% warn, 90% pace, 95% rate 512kbit/s, 100% stop", parse: stages),
        Setting(
            "cap.reserve", \.cap.reserve,
            meaning: "what is left at stop, for the control plane and management: a share of the cap or an amount",
            example: "1%", parse: portion),
        Setting(
            "cap.status_file", \.cap.statusFile, meaning: "file that tells of the cap, written on each change, or none",
            example: "/run/forwarder/cap.json", byDefault: "none", parse: filePath),
        Setting(
            "state_dir", \.stateDirectory,
            meaning: "directory for what must outlive a restart: what was used of the cap",
            example: "/var/lib/forwarder", parse: directoryPath),
        controlSocket,
        Setting(
            "admin_listen", \.admin.listen,
            meaning:
                "address and port where metrics and health are told over HTTP, or none; other than loopback's only with a token",
            example: "127.0.0.1:10586", byDefault: "127.0.0.1:10586", parse: adminEndpoint),
        Setting(
            "admin_token_file", \.admin.tokenFile,
            meaning: "file of the token that who asks there must bring, or none; nobody but its owner may read it",
            example: "/etc/forwarder/admin-token", byDefault: "none", parse: filePath),
        Setting(
            "log", \.log, meaning: "least level logged: trace, debug, info, notice, warning or error",
            example: "info"
        ) { text throws(Misfit) in
            try choice(text, among: [.trace, .debug, .info, .notice, .warning, .error])
        },
        Setting(
            "log_format", \.logFormat,
            meaning: "how a line of the log is written: logfmt (`key=value`) or json (one object a line)",
            example: "json", parse: choice),
    ]

    /// Alone enough to reach a running node.
    package static let controlSocket = Setting(
        "control_socket", \.controlSocket, meaning: "Unix socket on which a running node answers",
        example: "/run/forwarder/control.sock", parse: socketPath)
}
