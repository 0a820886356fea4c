import Glibc
import PacketParse
import Testing

@testable import LinuxNetwork

@Suite(.enabled(if: isRoot, needsRoot))
struct LinkWatchTests {
    private func isReadable(_ descriptor: CInt) -> Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&waiting, 1, 0) == 1
    }

    @Test func `a watch is silent, tells of a link and of an address, and is silent again`() throws {
        try inFreshNamespace {
            let watch = try LinkWatch()
            let descriptor = watch.descriptor
            var told = try watch.drain()
            #expect(!isReadable(descriptor) && !told)

            try makeVethPair()
            #expect(isReadable(descriptor))
            told = try watch.drain()
            #expect(told)
            told = try watch.drain()
            #expect(!isReadable(descriptor) && !told)

            for address in ["10.0.0.1/24", "fd00::1/64"] {
                try answer("ip addr add \(address) dev left")
                told = try watch.drain()
                #expect(told, "\(address)")
            }
        }
    }

    @Test func `news that were lost are news`() throws {
        try inFreshNamespace {
            let watch = try LinkWatch()
            // Who reads ENOBUFS takes it away, so a second socket that heard the same tells that there was one.
            let control = try LinkWatch()
            var smallest: CInt = 0
            for descriptor in [watch.descriptor, control.descriptor] {
                let size = socklen_t(MemoryLayout<CInt>.size)
                try #require(unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &smallest, size) == 0)
            }
            try makeVethPair()
            for _ in 0..<8 {
                try answer("ip link set left up")
                try answer("ip link set left down")
            }
            var octet: UInt8 = 0
            let peeked = unsafe recv(control.descriptor, &octet, 1, CInt(MSG_PEEK | MSG_DONTWAIT))
            #expect(peeked < 0 && errno == ENOBUFS)
            var told = try watch.drain()
            #expect(told)
            told = try watch.drain()
            #expect(!told)
        }
    }

    @Test func `a watch hears nothing of another namespace`() throws {
        try inFreshNamespace {
            let watch = try LinkWatch()
            try inFreshNamespace { try makeVethPair() }
            let told = try watch.drain()
            #expect(!told)
        }
    }

    @Test func `a default route is news, other routes are not`() throws {
        try inFreshNamespace {
            // Of a link with a carrier or an IPv6 address the kernel has news of its own, late ones: of lo it has none.
            try answer("ip link set lo up")
            let watch = try LinkWatch()
            for (family, other) in [("-4", "192.0.2.0/24"), ("-6", "2001:db8::/64")] {
                _ = try watch.drain()
                for verb in ["add", "del"] {
                    try answer("ip \(family) route \(verb) \(other) dev lo")
                    #expect(isReadable(watch.descriptor), "the control: it was announced")
                    var told = try watch.drain()
                    #expect(!told, "\(verb) \(other)")
                    try answer("ip \(family) route \(verb) default dev lo")
                    told = try watch.drain()
                    #expect(told, "\(family) \(verb) default")
                }
            }
        }
    }
}
