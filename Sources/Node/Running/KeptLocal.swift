import LinuxNetwork
import LocalAPI
import PacketParse

// What stays with the host.

extension NodeSettings {
    /// These, and local also what tailscaled advertises, as far as there is room for it.
    func keeping(_ routes: SubnetRoutes?) -> NodeSettings {
        var all = self
        let more = (routes?.prefixes ?? []).filter { !local.contains($0) }
        all.local += more.prefix(max(0, Self.localLimit - local.count))
        return all
    }

    /// Destinations that stay with the host: its own addresses, Tailscale's service addresses, what the settings say.
    func keptLocal(_ edges: Edges) -> [IPPrefix] {
        (IPAddress.tailscaleServices + edges.nodeAddresses).map { IPPrefix(host: $0) } + local
    }
}
