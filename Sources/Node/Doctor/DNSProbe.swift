import LinuxNetwork
import LinuxSystem
import PacketParse
import SplitDNS

extension Probe {
    static let dns = Probe("dns", "Are names split between the uplink and the VPN, or can they be?", worst: .error) {
        surroundings throws(KernelError) in
        let settings = surroundings.settings.dns
        let file = NameService.file
        if let dns = surroundings.status?.dns { return judge(dns, settings) }
        let isLeft = ((try? file.read()) ?? nil).map { ResolvConf($0).isOurs } ?? false
        if !surroundings.isNodeThere, isLeft, settings.mode == .off {
            return .warning(
                "\(file.path) asks a stub resolver that a node has left, and nobody answers",
                remedy: nextCommand("down", controlSocket: surroundings.settings.controlSocket))
        }
        guard settings.mode == .on else {
            let resolver = ((try? file.read()) ?? nil).flatMap { ResolvConf($0).resolver }
            let way = try resolver.flatMap { resolver throws(KernelError) in try surroundings.netlink.way(to: resolver)
            }
            let uplink = surroundings.edges.uplinks.links.first { $0.index == way }
            if let uplink, surroundings.settings.guarding == .on {
                return .warning(
                    "off: \(file.path) names a resolver that is asked by \(uplink.name), where the guard refuses what "
                        + "bears no mark: tailscaled cannot find its servers",
                    remedy: "FORWARDER_DNS=on")
            }
            return .ok("off: every process asks the resolvers that it finds")
        }
        guard !surroundings.isNodeThere else {
            return .notAsked("a node runs that does not tell", remedy: "forwarder status")
        }
        if let refusal = NameService.obstacle(settings) { return .error(refusal) }
        let found = ResolvConf(((try? file.read()) ?? nil) ?? [])
        guard settings.vpn != nil || found.resolver != nil else {
            return .warning(
                "\(NameService.nobody.because); other names than Tailscale's would fail",
                remedy: NameService.nobody.remedy)
        }
        guard file.isWritable || found.asksOnly(settings.listen.address) else {
            return .warning(
                "\(file.path) cannot be written, so nobody would come to ask us", remedy: NameService.remedy(settings))
        }
        return .ok("\(settings.listen) is free, and \(file.path) can be taken over")
    }

    static func judge(_ dns: StatusReport.DNS, _ settings: DNSSettings) -> Finding {
        switch dns.trouble {
        case nil:
            .ok("Tailscale's names are asked of \(dns.direct) over the uplink, others of \(dns.vpn ?? "") over the VPN")
        case .notAsked(let because)?: .warning(because, remedy: NameService.remedy(settings))
        case .nobody?:
            .warning(
                "\(NameService.nobody.because); other names than Tailscale's fail", remedy: NameService.nobody.remedy)
        case .silent(.direct, let because)?:
            .warning(
                because, remedy: "name a resolver that the uplink reaches, for example FORWARDER_DNS_DIRECT=9.9.9.9")
        case .silent(.vpn, let because)? where isTailnets(dns.vpn):
            .warning(
                "\(because); Tailscale's firewall drops what comes from 100.64.0.0/10 by another interface than its own",
                remedy: "name another resolver, for example FORWARDER_DNS_VPN=9.9.9.9")
        case .silent(.vpn, let because)?: .warning(because, remedy: NameService.nobody.remedy)
        }
    }

    private static func isTailnets(_ resolver: String?) -> Bool {
        resolver.flatMap { IPAddress($0) }.map { address in IPPrefix.tailnets.contains { $0.contains(address) } }
            ?? false
    }
}
