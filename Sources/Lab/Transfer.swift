internal import Glibc
internal import LinuxSystem

/// One TCP connection that carries so many bytes one way, judged by an `openssl dgst -sha256` at both ends.
///
/// The judges set the pace: `Throughput` says how fast a path is, this says whether it is right. OpenSSL, because
/// where the processor has no SHA instructions it still uses AVX2 (0.36 GB/s on a Xeon at 2.5 GHz, November 2026);
/// Debian 12's `sha256sum` and Perl do not (0.2 GB/s).
package struct Transfer: Sendable {
    package enum Direction: Sendable, CaseIterable {
        case upload, download
    }

    package let bytes: Int
    package let sentDigest: String
    package let receivedDigest: String
    package let seconds: Double

    package var isIntact: Bool { sentDigest == receivedDigest && sentDigest.count == 64 }

    private static let port: UInt16 = 9000

    /// The client opens the connection, whichever way the bytes go.
    ///
    /// - Parameter patience: how long to wait where nothing moves.
    package init(
        _ direction: Direction, bytes: Int, client: LabHost, server: LabHost, at address: String,
        patience: Duration = .seconds(10)
    ) throws(LabFailure) {
        let start = ContinuousClock().now
        let listener = try server.bind(.stream, at: address, port: Self.port, patience: patience)
        let near = try client.connect(.stream, to: address, port: Self.port, patience: patience)
        let far = try toward("accept on \(server.name)") { () throws(KernelError) in try listener.accept().connection }
        let (source, sink) = direction == .upload ? (near, far) : (far, near)
        let sent = try Digest()
        let received = try Digest()
        let goal = "move \(bytes) bytes between \(client.name) and \(server.name) (\(direction))"
        let sending = try Loop(named: "transfer") { _ in
            // A broken sender shows at the receiver, as a stream that ends early.
            try? send(bytes, to: source, and: sent)
            source.finish()
        }
        do throws(LabFailure) {
            self.bytes = try toward(goal) { () throws(KernelError) in try receive(from: sink, into: received) }
        } catch {
            // Or the sender would wait as long again, and again.
            source.finish()
            throw error
        }
        sending.stop()
        sentDigest = try sent.finish()
        receivedDigest = try received.finish()
        let passed = (ContinuousClock().now - start).components
        seconds = Double(passed.seconds) + Double(passed.attoseconds) / 1e18
    }
}

private let chunk = 1 << 20

/// The same noise again and again, with a number in front: a chunk that is lost, doubled or moved changes the digest.
private func send(_ bytes: Int, to socket: Socket, and digest: Digest) throws(KernelError) {
    var content = noise(count: chunk, seed: 1)
    for offset in stride(from: 0, to: bytes, by: chunk) {
        for octet in 0..<8 { content[octet] = UInt8(truncatingIfNeeded: offset >> (8 * octet)) }
        let piece = content[..<min(chunk, bytes - offset)]
        try socket.send(piece)
        try digest.add(piece)
    }
}

private func receive(from socket: Socket, into digest: Digest) throws(KernelError) -> Int {
    var buffer = [UInt8](repeating: 0, count: chunk)
    var total = 0
    while true {
        let count = try socket.receive(into: &buffer)
        if count == 0 { return total }
        try digest.add(buffer[..<count])
        total += count
    }
}

/// A program that hashes what it reads from us.
private final class Digest: Sendable {
    /// `-r`: the digest comes first, as sha256sum prints it.
    private static let judge = ["openssl", "dgst", "-sha256", "-r"]

    private let feed: Socket
    private let child: ChildProcess

    init() throws(LabFailure) {
        (feed, child) = try toward("start openssl") { () throws(KernelError) in
            // A stream instead of a pipe: if the child dies, we get an error and not a SIGPIPE.
            let (ours, theirs) = try Socket.pair()
            return (ours, try ChildProcess(Self.judge, input: .descriptor(theirs.descriptor.raw)))
        }
    }

    func add(_ bytes: ArraySlice<UInt8>) throws(KernelError) { try feed.send(bytes) }

    func finish() throws(LabFailure) -> String {
        feed.finish()
        guard let ending = child.wait(upTo: .seconds(60)), ending.isSuccess else {
            throw LabFailure(couldNot: "run openssl", because: child.standardError)
        }
        return String(child.standardOutput.prefix { $0 != " " })
    }
}
