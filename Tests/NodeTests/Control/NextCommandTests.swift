import Testing

@testable import Node

@Suite("What a person is told to type next")
struct NextCommandTests {
    @Test("The default socket is not named, any other is, as a shell reads it")
    func sockets() {
        for (socket, command) in [
            ("/run/forwarder/control.sock", "forwarder down"),
            ("/run/two/c-1_2.sock", "forwarder down --control-socket /run/two/c-1_2.sock"),
            ("/run/my node.sock", "forwarder down --control-socket '/run/my node.sock'"),
            ("/run/it's$HOME", #"forwarder down --control-socket '/run/it'\''s$HOME'"#),
        ] {
            #expect(nextCommand("down", controlSocket: socket) == command)
        }
    }
}
