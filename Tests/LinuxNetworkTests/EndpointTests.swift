import Testing

@testable import LinuxNetwork

struct EndpointTests {
    @Test(
        "An endpoint is read in one form for each family, and written in that",
        arguments: [
            "192.0.2.1:51820", "[2001:db8::1]:51820", "0.0.0.0:0", "[::]:65535",
        ])
    func wellFormed(text: String) { #expect(Endpoint(text)?.description == text) }

    @Test(
        "Nothing else is an endpoint",
        arguments: [
            "", ":", "192.0.2.1", "192.0.2.1:", ":51820", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:+1",
            "192.0.2.1: 1", "[192.0.2.1]:1", "2001:db8::1:51820", "[2001:db8::1:51820", "2001:db8::1]:1", "[]:1",
            "vpn:1",
            "[::ffff:192.0.2.1]:1", "192.0.2.1:١",
        ])
    func malformed(text: String) { #expect(Endpoint(text) == nil) }
}
