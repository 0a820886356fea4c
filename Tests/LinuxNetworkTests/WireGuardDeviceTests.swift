import Foundation
import Glibc
import LinuxSystem
import Synchronization
import Testing

@testable import LinuxNetwork

/// The kernel's answer and a process's, and whoever only pretends to be one.
///
/// The kernel's is composed here as its `linux/wireguard.h` describes it: no machine that runs these tests need have its
/// module. The exchange itself is tried with a family that every kernel has.
struct WireGuardDeviceTests {
    // MARK: The kernel's

    /// Length, number, octets, and none up to a multiple of four.
    private func attribute(_ number: UInt16, _ octets: [UInt8]) -> [UInt8] {
        let length = UInt16(octets.count + 4)
        return [
            UInt8(truncatingIfNeeded: length), UInt8(length >> 8), UInt8(truncatingIfNeeded: number),
            UInt8(number >> 8),
        ]
            + octets + [UInt8](repeating: 0, count: (4 - octets.count % 4) % 4)
    }

    private func word<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
        (0..<Integer.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    private let nested: UInt16 = 0x8000

    private func peer(_ endpoint: [UInt8], handshake: UInt64, received: UInt64, sent: UInt64) -> [UInt8] {
        let parts: [[UInt8]] = [
            attribute(1, [UInt8](repeating: 7, count: 32)),  // WGPEER_A_PUBLIC_KEY
            attribute(2, [UInt8](repeating: 0, count: 32)),  // WGPEER_A_PRESHARED_KEY
            attribute(6, word(handshake) + word(UInt64(5))),  // WGPEER_A_LAST_HANDSHAKE_TIME
            attribute(5, word(UInt16(25))),  // WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL
            attribute(8, word(sent)),  // WGPEER_A_TX_BYTES
            attribute(7, word(received)),  // WGPEER_A_RX_BYTES
            attribute(10, word(UInt32(1))),  // WGPEER_A_PROTOCOL_VERSION
            endpoint.isEmpty ? [] : attribute(4, endpoint),  // WGPEER_A_ENDPOINT
        ]
        return attribute(0 | nested, parts.flatMap(\.self))
    }

    private func message(_ mark: UInt32?, _ peers: [[UInt8]]) -> NetlinkAttributes {
        let parts: [[UInt8]] = [
            attribute(6, word(UInt16(51_821))),  // WGDEVICE_A_LISTEN_PORT
            mark.map { attribute(7, word($0)) } ?? [],  // WGDEVICE_A_FWMARK
            attribute(1, word(UInt32(9))),  // WGDEVICE_A_IFINDEX
            attribute(2, Array("wg0\0".utf8)),  // WGDEVICE_A_IFNAME
            attribute(3, [UInt8](repeating: 9, count: 32)),  // WGDEVICE_A_PRIVATE_KEY
            attribute(8 | nested, peers.flatMap(\.self)),  // WGDEVICE_A_PEERS
        ]
        return NetlinkAttributes(octets: parts.flatMap(\.self))
    }

    /// sockaddr_in: AF_INET, port 51820, 198.51.100.1.
    private let v4: [UInt8] = [2, 0, 0xca, 0x6c, 198, 51, 100, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    /// sockaddr_in6: AF_INET6, port 51820, no flow label, 2001:db8::1, scope 0.
    private let v6: [UInt8] =
        [10, 0, 0xca, 0x6c, 0, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1, 0, 0, 0, 0]

    @Test("the kernel's answer is read, in one message or in several")
    func kernel() throws {
        let device = try #require(
            WireGuardDevice(messages: [
                message(
                    51_820,
                    [
                        peer(v4, handshake: 1_763_683_200, received: 92, sent: 148),
                        peer(v6, handshake: 0, received: 0, sent: 296),
                    ]),
                // The second peer's networks did not fit; then one more.
                message(nil, [attribute(0 | nested, attribute(1, [7])), peer([], handshake: 7, received: 1, sent: 2)]),
            ]))
        #expect(device.source == .kernel && device.mark == 51_820)
        #expect(device.peers.map(\.endpoint?.description) == ["198.51.100.1:51820", "[2001:db8::1]:51820", nil])
        #expect(device.peers.map(\.lastHandshake) == [1_763_683_200, nil, 7])
        #expect(device.lastHandshake == 1_763_683_200 && device.receivedBytes == 93 && device.sentBytes == 446)
    }

    @Test("an answer without marks or peers has none, and no answer is none")
    func bareKernel() throws {
        let bare = try #require(WireGuardDevice(messages: [message(nil, [])]))
        #expect(bare.mark == 0 && bare.peers.isEmpty && bare.lastHandshake == nil)
        #expect(WireGuardDevice(messages: []) == nil)
        for endpoint in [[2, 0], [1, 0] + [UInt8](repeating: 1, count: 14), Array(v6.prefix(16))] {
            let told = WireGuardDevice(messages: [
                message(0, [peer(endpoint, handshake: .max, received: 1, sent: 1)])
            ])
            #expect(told?.peers.first?.endpoint == nil && told?.lastHandshake == nil, "\(endpoint)")
        }
    }

    @Test("a family of the kernel's is found by its name, and one that it does not have is not")
    func family() throws {
        // The controller itself: GENL_ID_CTRL.
        #expect(try GenericNetlink("nlctrl").number == 16)
        do {
            _ = try GenericNetlink("forwarder-test")
            Issue.record("found")
        } catch {
            #expect(error.errno.rawValue == ENOENT)
        }
    }

    // MARK: A process's

    private let answer = """
        private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a
        listen_port=51821
        fwmark=51820
        public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33
        preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52
        protocol_version=1
        endpoint=[2001:db8::1]:51820
        last_handshake_time_sec=1763683200
        last_handshake_time_nsec=5
        tx_bytes=148
        rx_bytes=92
        persistent_keepalive_interval=0
        allowed_ip=0.0.0.0/0
        allowed_ip=::/0
        public_key=58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376
        endpoint=198.51.100.1:51820
        last_handshake_time_sec=0
        tx_bytes=1
        rx_bytes=2
        errno=0


        """

    @Test("a process's answer is read, and its keys are not kept")
    func process() throws {
        let device = try #require(WireGuardDevice(answer: answer))
        #expect(device.source == .process && device.mark == 51_820)
        #expect(device.peers.map(\.endpoint?.description) == ["[2001:db8::1]:51820", "198.51.100.1:51820"])
        #expect(device.peers.map(\.lastHandshake) == [1_763_683_200, nil])
        #expect(device.receivedBytes == 94 && device.sentBytes == 149)
        #expect(!"\(device)".contains("e84b5a6d"))
    }

    @Test(
        "what is no answer is none",
        arguments: [
            "", "\n\n", "errno=1\n\n", "fwmark=1\n\n", "garbage\nerrno=0\n\n", "HTTP/1.1 400 Bad Request\n\n",
        ])
    func noAnswer(text: String) { #expect(WireGuardDevice(answer: text) == nil) }

    @Test(
        "numbers that are none count as nothing",
        arguments: [
            "fwmark=4294967296", "public_key=\nrx_bytes=-1",
            "public_key=\nlast_handshake_time_sec=18446744073709551616",
            "public_key=\nlast_handshake_time_sec=253402300800", "public_key=\nendpoint=nowhere",
            "endpoint=192.0.2.1:1",
            "rx_bytes=5",
        ])
    func wrongNumbers(text: String) throws {
        let device = try #require(WireGuardDevice(answer: "\(text)\nerrno=0\n\n"))
        #expect(device.mark == 0 && device.receivedBytes == 0 && device.lastHandshake == nil)
        #expect(device.peers.allSatisfy { $0.endpoint == nil })
    }

    /// What somebody does on whose socket we ask.
    enum Stranger: CaseIterable, Sendable {
        case answers, isSilent, acceptsNobody, sendsForEver, drips, hangsUp, saysNothingOfUse
    }

    @Test("whoever listens there, asking ends soon, and only an answer is one", arguments: Stranger.allCases)
    func strangers(stranger: Stranger) throws {
        let path = "/tmp/forwarder-test-\(UUID().uuidString).sock"
        let listener = try UnixSocket.nonBlocking()
        try UnixSocket.bind(listener, to: path)
        defer { unsafe unlink(path) }
        #expect(listen(listener.raw, 0) == 0)
        let answer = answer
        let raw = listener.raw
        let said = Mutex(0)
        let host = Thread {
            guard stranger != .isSilent, stranger != .acceptsNobody else { return }
            guard UnixSocket.wait([(raw, POLLIN)], milliseconds: 5_000)[0] != 0 else { return }
            let connection = accept(raw, nil, nil)
            defer { close(connection) }
            func say(_ text: String) -> Bool {
                let octets = Array(text.utf8)
                let count = unsafe send(connection, octets, octets.count, CInt(MSG_NOSIGNAL))
                said.withLock { $0 += max(0, count) }
                return count > 0
            }
            switch stranger {
            case .answers:
                // In two parts, and it stays to hear more.
                _ = say(String(answer.prefix(300)))
                usleep(20_000)
                _ = say(String(answer.dropFirst(300)))
                usleep(300_000)
            case .sendsForEver: while say(String(repeating: "rx_bytes=1\n", count: 500)) {}
            case .drips:
                for _ in 0..<100 where say("rx_bytes=1\n") { usleep(20_000) }
            case .saysNothingOfUse: _ = say("220 mail.example ESMTP\n\n")
            case .hangsUp, .isSilent, .acceptsNobody: break
            }
        }
        host.start()
        // One that waits to be accepted fills the queue.
        let waiting = stranger == .acceptsNobody ? try UnixSocket.nonBlocking() : nil
        if let waiting { try UnixSocket.connect(waiting, to: path) }
        let begin = ContinuousClock.now
        let device = try? WireGuardSocket.read(path)
        #expect(begin.duration(to: .now) < .seconds(1))
        #expect((device != nil) == (stranger == .answers))
        if stranger == .answers { #expect(device?.mark == 51_820) }
        // What it could say, what waited in the socket included: time alone would have let through far more.
        #expect(said.withLock { $0 } < WireGuardSocket.limit * 4)
    }

    @Test("an interface that nobody makes tells nothing, at once")
    func nobody() throws {
        let link = try #require(try Netlink().link(named: "lo"))
        let begin = ContinuousClock.now
        #expect(WireGuardDevice.read(link) == nil)
        #expect(begin.duration(to: .now) < .milliseconds(100))
    }
}
