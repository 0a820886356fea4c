import LinuxNetwork
import PacketParse
import Steering

extension GuardRules {
    /// What may leave by the uplinks.
    init(_ settings: NodeSettings, _ uplinks: Uplinks, _ encapsulation: Encapsulation) {
        self.init()
        observes = settings.guarding == .observe
        self.uplinks = uplinks.links.map { .init(index: $0.index, isEthernet: $0.isEthernet) }
        vpnMarks = encapsulation.marks.sorted()
        vpnEndpoints = encapsulation.endpoints
        services = settings.allow ?? []
    }
}
