import Lab
import Testing

@Suite(.serialized, .labCanBeBuilt) struct DeploymentTests {
    @Test("the kernel forwards among Gluetun's and Tailscale's rules, which then are gone", arguments: LabKind.allCases)
    func deployed(kind: LabKind) throws {
        let lab = try kind.make()
        func state() throws -> String {
            let questions = "ip rule; ip -6 rule; nft list ruleset; ip -br link | cut -d' ' -f1; wg show all fwmark"
            let tables = "for t in 52 100 199 200 51820; do ip route show table $t; ip -6 route show table $t; done"
            return try lab.node.run(["sh", "-c", "\(questions); \(tables) 2>/dev/null; true"])
        }
        let before = try state()
        let deployment = try Deployment(on: lab)
        try lab.enableKernelRouting()
        for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
            #expect(try lab.client.ping(address, count: 2) > 0, "\(address)")
        }
        for program in ["iptables-nft", "ip6tables-nft"] {
            let marked = try lab.node.run([program, "-vnL", "ts-forward"]).split(separator: "\n")
                .first { $0.contains("MARK") }
            #expect(marked.map { !$0.split(separator: " ").starts(with: ["0"]) } == true, "they meet what they pass")
        }
        try lab.disableKernelRouting()
        try deployment.takeAway()
        #expect(try state() == before)
    }
}
