import Testing

@testable import SplitDNS

struct DirectNamesTests {
    private func name(_ text: String) throws -> DomainName { try #require(DomainName(text)) }

    @Test("Tailscale's infrastructure goes direct, whatever its letters; its web site, ts.net and look-alikes do not")
    func infrastructure() throws {
        let names = DirectNames(below: [])
        for text in [
            "controlplane.tailscale.com", "Login.Tailscale.COM.", "log.tailscale.io", "log.tailscale.com",
            "pkgs.tailscale.com", "api.tailscale.com", "derp1.tailscale.com", "derp28f.tailscale.com",
        ] {
            #expect(names.contains(try name(text)), "\(text)")
        }
        for text in [
            "tailscale.com", "www.tailscale.com", "node.tailnet.ts.net", "controlplane.tailscale.com.example.org",
            "derp1.tailscale.com.example.org", "xcontrolplane.tailscale.com", "a.derp1.tailscale.com",
            "derp1.eviltailscale.com", "derp1.tailscale.org",
        ] {
            #expect(!names.contains(try name(text)), "\(text)")
        }
    }

    @Test("what a person names holds for all below it, what tailscaled tells only for itself")
    func added() throws {
        var names = DirectNames(below: [try name("example.net")])
        names.relays = [try name("relay.example.org")]
        names.loginServer = try name("login.example.org")
        for text in ["example.net", "a.b.EXAMPLE.net", "relay.example.org", "login.example.org"] {
            #expect(names.contains(try name(text)), "\(text)")
        }
        for text in ["badexample.net", "net.example", "a.relay.example.org", "a.login.example.org", "example.org"] {
            #expect(!names.contains(try name(text)), "\(text)")
        }
    }

    @Test(
        "a host's name is letters, digits and dashes in two labels or more; nothing else is taken for one",
        arguments: ["", ".", "com", "a..b", ".a.b", "192.0.2.1", "[::1]", "a b.c", "*.example.org", "ä.example.org"])
    func noNames(text: String) { #expect(DomainName(text) == nil) }
}
