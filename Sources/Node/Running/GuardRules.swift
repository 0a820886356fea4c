import LinuxNetwork
import PacketParse
import Steering

extension GuardRules {
    /// What may leave by the uplinks.
    init(_ settings: NodeSettings, _ uplinks: Uplinks) {
        self.init()
        observes = settings.guarding == .observe
        self.uplinks = uplinks.links.map { .init(index: $0.index, isEthernet: $0.isEthernet) }
        vpnMarks = [Uplinks.vpnTable]
        services = settings.allow ?? []
    }
}
