internal import FoundationEssentials
internal import Glibc
internal import LinuxSystem
internal import Synchronization
internal import SystemPackage

/// tailscaled as the kernel sees it: a process of that name, in a cgroup of its own, that opens sockets and marks them as
/// tailscaled does, when it is told. It ends with its last reference, and its cgroup with it.
///
/// What it says over them nobody answers: it is about the first packet of each, and its mark.
package final class TailscaledProcess: Sendable {
    /// What tailscaled does on the network, by its destination's address.
    package enum Deed: Sendable {
        /// TCP to port 80, and half a second later to 443.
        case control(String)
        case derp(String)
        case stun(String)
        /// From the one UDP port by which all peers are met.
        case peer(String, port: UInt16)
        /// NAT-PMP and SSDP.
        case portMapping(String)
        case logs(String)
        /// Fetched by a client that marks nothing.
        case update(String)
        /// A lookup of its own, by a connected socket.
        case question(String)
        /// A client's lookup, by a socket that is bound and not connected.
        case clientQuestion(String)
        /// The same when UDP brings no answer within two seconds: marked as a control connection is.
        case clientQuestionOverTCP(String)
        case clientQuestionOverHTTPS(String)
        /// Takes connections on all its addresses.
        case listen(port: UInt16, mark: UInt32)
        /// Any other socket.
        case socket(Protocol, String, port: UInt16, mark: UInt32, Manner = .connected)
        /// The first packet of such a socket, which is closed at once: nothing comes after it. What it says is a text, or a
        /// question for that text where it is a name.
        case probe(Protocol, String, port: UInt16, mark: UInt32, Manner = .connected, saying: String)
        /// The same from the port by which all peers are met.
        case peerProbe(String, port: UInt16, saying: String)
        /// Writes its own address as the resolver's, in place.
        case rewriteResolvConf

        package enum `Protocol`: String, Sendable {
            case tcp, udp
            /// An echo request, from a raw socket; it has no port.
            case icmp
        }
        package enum Manner: String, Sendable {
            case connected
            /// UDP alone.
            case unconnected
            /// Marked after connect(2), which is too late for TCP's first packet.
            case markedLate = "late"
        }
    }

    package static let name = "tailscaled"

    /// The directory of its cgroup, on its host.
    package let cgroup: String
    private let host: LabHost
    private let child: ChildProcess
    private let orders: Socket

    /// - Parameters:
    ///   - port: by which it meets its peers.
    ///   - cgroup: that of one which has ended, to be made anew; nil makes one that never was.
    package init(on host: LabHost, port: UInt16 = 41641, cgroup wanted: String? = nil) throws(LabFailure) {
        self.host = host
        let goal = "start \(Self.name) on \(host.name)"
        cgroup = try toward(goal) { () throws(KernelError) in
            try host.namespace.run { () throws(KernelError) in try makeCgroup(wanted) }
        }
        do {
            try host.run(["ln", "-sf", "/usr/bin/python3", "/run/\(Self.name)"])
            let (ours, theirs) = try toward(goal) { () throws(KernelError) in try Socket.pair() }
            orders = ours
            // The name of a process is that of the file it was started by. It joins its cgroup before it has a socket.
            let line = "echo $$ >\(cgroup)/cgroup.procs && exec /run/\(Self.name) -c \"$0\" \(port)"
            child = try host.start(["sh", "-c", line, Self.script], input: .descriptor(theirs.descriptor.raw))
        } catch {
            try? host.namespace.run { [cgroup] () throws(KernelError) in removeCgroup(cgroup) }
            throw error
        }
        try order("ready")
    }

    deinit {
        child.signal(SIGKILL)
        _ = child.wait(upTo: .seconds(5))
        try? host.namespace.run { [cgroup] () throws(KernelError) in removeCgroup(cgroup) }
    }

    /// Does it, and returns when the packets are sent.
    package func perform(_ deed: Deed) throws(LabFailure) {
        for line in deed.orders { try order(line) }
    }

    /// Lets go of what it connected, so that nothing more is said over it: what a deed is not answered, TCP says again.
    package func forget() throws(LabFailure) { try order("forget") }

    private func order(_ line: String) throws(LabFailure) {
        let answer = try toward("have \(Self.name) do \(line)") { () throws(KernelError) in
            try orders.send(ArraySlice((line + "\n").utf8))
            var buffer = [UInt8](repeating: 0, count: 512)
            let count = try orders.receive(into: &buffer)
            return String(decoding: buffer.prefix(count), as: UTF8.self)
        }
        guard answer == "ok\n" else {
            throw LabFailure(couldNot: "have \(Self.name) do \(line)", because: answer + child.standardError)
        }
    }
}

extension TailscaledProcess.Deed {
    private static let bypass: UInt32 = 0x80000

    /// The script's words.
    fileprivate var orders: [String] {
        func open(_ kind: Protocol, _ address: String, _ port: UInt16, _ mark: UInt32, _ manner: Manner) -> String {
            "\(kind) \(address) \(port) \(mark) \(manner.rawValue)"
        }
        switch self {
        case .control(let address):
            return [
                open(.tcp, address, 80, Self.bypass, .connected), "pause 0.5",
                open(.tcp, address, 443, Self.bypass, .connected),
            ]
        case .derp(let address), .logs(let address), .clientQuestionOverHTTPS(let address):
            return [open(.tcp, address, 443, Self.bypass, .connected)]
        case .stun(let address): return ["peer \(address) 3478"]
        case .peer(let address, let port): return ["peer \(address) \(port)"]
        case .portMapping(let address):
            return [5351, 1900].map { open(.udp, address, $0, Self.bypass, .unconnected) }
        case .update(let address): return [open(.tcp, address, 443, 0, .connected)]
        case .question(let address): return [open(.udp, address, 53, 0, .connected)]
        case .clientQuestion(let address): return [open(.udp, address, 53, 0, .unconnected)]
        case .clientQuestionOverTCP(let address): return [open(.tcp, address, 53, Self.bypass, .connected)]
        case .socket(let kind, let address, let port, let mark, let manner):
            return [open(kind, address, port, mark, manner)]
        case .probe(let kind, let address, let port, let mark, let manner, let text):
            return ["\(open(kind, address, port, mark, manner)) \(text)"]
        case .peerProbe(let address, let port, let text): return ["peer \(address) \(port) \(text)"]
        case .listen(let port, let mark): return ["listen \(port) \(mark)"]
        case .rewriteResolvConf: return ["rewrite"]
        }
    }
}

extension TailscaledProcess {
    /// Reads orders from its standard input, a socket, and answers each on it.
    fileprivate static let script = """
        import os, socket, struct, sys, time

        kept = []
        listeners = []

        def opened(kind, address, mark):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            one = socket.socket(family, kind)
            kept.append(one)
            one.setblocking(False)
            if mark:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            return one

        def peers(any):
            one = opened(socket.SOCK_DGRAM, any, 0x80000)
            if ":" in any:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((any, int(sys.argv[1])))
            kept.remove(one)
            return one

        met = {}

        def said(words):
            if not words:
                return b"datagram"
            text = words[0].encode()
            if b"." not in text:
                return text
            name = b"".join(bytes([len(label)]) + label for label in text.split(b"."))
            return b"\\x12\\x34\\x01\\0\\0\\1\\0\\0\\0\\0\\0\\0" + name + b"\\0\\0\\1\\0\\1"

        # A probe that is refused has found out what it wanted to.
        def say(words, send):
            try:
                send(said(words))
            except OSError:
                if not words:
                    raise

        def do(word, *rest):
            if word == "pause":
                time.sleep(float(rest[0]))
            elif word == "peer":
                any = "::" if ":" in rest[0] else "0.0.0.0"
                if any not in met:
                    met[any] = peers(any)
                say(rest[2:], lambda text: met[any].sendto(text, (rest[0], int(rest[1]))))
            elif word == "tcp":
                late = rest[3] == "late"
                one = opened(socket.SOCK_STREAM, rest[0], 0 if late else int(rest[2]))
                one.connect_ex((rest[0], int(rest[1])))
                if late:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(rest[2]))
                if rest[4:]:
                    kept.pop().close()
            elif word == "icmp":
                six = ":" in rest[0]
                protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
                one = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, protocol)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(rest[2]))
                def echo(text):
                    def request(checksum):
                        return struct.pack("!BBHHH", 128 if six else 8, 0, checksum, 1, 1) + text + bytes(len(text) % 2)
                    words = struct.unpack(f"!{len(request(0)) // 2}H", request(0))
                    total = sum(words)
                    total = (total & 0xffff) + (total >> 16)
                    total = (total & 0xffff) + (total >> 16)
                    # Of IPv6 the kernel makes it.
                    one.sendto(request(0 if six else total ^ 0xffff), (rest[0], 0))
                say(rest[4:], echo)
                one.close()
            elif word == "udp":
                to = (rest[0], int(rest[1]))
                late = rest[3] == "late"
                one = opened(socket.SOCK_DGRAM, rest[0], 0 if late else int(rest[2]))
                if rest[3] == "unconnected":
                    one.bind(("", 0))
                    say(rest[4:], lambda text: one.sendto(text, to))
                else:
                    say(rest[4:], lambda text: one.connect(to))
                    if late:
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(rest[2]))
                    say(rest[4:], lambda text: one.send(text))
                if rest[4:]:
                    kept.pop().close()
            elif word == "forget":
                for one in kept:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.close()
                kept.clear()
            elif word == "listen":
                one = opened(socket.SOCK_STREAM, "::", int(rest[1]))
                kept.remove(one)
                listeners.append(one)
                one.bind(("::", int(rest[0])))
                one.listen()
            elif word == "rewrite":
                with open("/etc/resolv.conf", "r+") as file:
                    file.truncate()
                    file.write("# written by tailscale\\nnameserver 100.100.100.100\\nsearch tailnet.example\\n")

        orders = socket.socket(fileno=0)
        for line in orders.makefile("r"):
            try:
                do(*line.split())
                orders.sendall(b"ok\\n")
            except Exception as error:
                orders.sendall(f"{error}\\n".encode())
        """
}

// MARK: The cgroup

private let hierarchy = "/sys/fs/cgroup"
private let prefix = "forwarder-tailscaled-"
/// Made by this process so far.
private let count = Atomic(0)

/// Makes one of this process's, and removes those of processes that are dead: a killed one leaves its own behind, empty.
/// To be called inside the host, whose `/sys` shows no cgroups by itself.
private func makeCgroup(_ wanted: String?) throws(KernelError) -> String {
    if !exists("\(hierarchy)/cgroup.procs") { try mount("cgroup2", at: hierarchy) }
    for name in (try? FileManager.default.contentsOfDirectory(atPath: hierarchy)) ?? [] where name.hasPrefix(prefix) {
        let owner = name.dropFirst(prefix.count).prefix { $0.isNumber }
        if !exists("/proc/\(owner)") { _ = unsafe rmdir("\(hierarchy)/\(name)") }
    }
    let path = wanted ?? "\(hierarchy)/\(prefix)\(getpid())-\(count.wrappingAdd(1, ordering: .relaxed).oldValue)"
    guard unsafe mkdir(path, 0o755) == 0 else { throw KernelError("mkdir", Errno(rawValue: errno), path) }
    return path
}

/// What was in it may take a moment to be gone.
private func removeCgroup(_ path: String) {
    for _ in 0..<100 where unsafe rmdir(path) != 0 && errno == EBUSY { usleep(10_000) }
}
