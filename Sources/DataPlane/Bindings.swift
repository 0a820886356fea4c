package import LinuxSystem
package import PacketParse

/// The ports of the exit addresses and who borrows them.
///
/// The range is divided. UDP ports and ICMP identifiers in its first three quarters are lent whole: one client address and
/// port keeps one outside port towards every remote (endpoint-independent mapping, RFC 4787 REQ-1, RFC 5508 REQ-1). The
/// last quarter, and the whole range for TCP, is shared: a port serves any number of flows as long as their remotes
/// differ, which is how a million flows fit one address. When the first part is used up, UDP and ICMP share the rest too.
///
/// A port is never one that a socket of the host holds. A number's first candidate follows from the client's address and
/// port by a secret hash, hence TCP keeps a client's port across remotes wherever it is free.
package struct Bindings: ~Copyable, Sendable {
    /// A port lent whole to one client address and port, for as long as flows use it.
    struct Binding: BitwiseCopyable {
        var client: IPAddress
        var clientPort: UInt16
        var transport: Transport
        var outsidePort: UInt16
        var flows: UInt32
        var hash: UInt64
    }

    /// A borrowed port, and the binding behind it plus one, 0 where it is shared.
    package struct Loan {
        package let port: UInt16
        package let binding: UInt32
    }

    package let range: ClosedRange<UInt16>
    /// Ports of the range that flows borrow, of TCP or of UDP, whichever borrows more: each has the whole range to itself,
    /// hence their sum would say nothing of how much is left. A query borrows an identifier, which is no port.
    package var inUse: Int { max(borrowed[0], borrowed[1]) }
    package let live: LiveBindings

    private let count: Int
    /// How many numbers of the range are lent whole to UDP and ICMP.
    private let wholeCount: Int
    private let seed: HashSeed

    private var bindings: Slab<Binding>
    private var index: HashIndex
    private var spare: Slab<UInt32>
    private var spareCount: Int

    /// Flows by port, one row per protocol: TCP, UDP. Queries have no row, each has its own fingerprint.
    private var users: Slab<UInt32>
    /// How many ports of a row have users, rows as in `users`.
    private var borrowed: InlineArray<2, Int> = .init(repeating: 0)
    /// The binding that a number is lent to, plus one: rows UDP and ICMP of IPv4, then of IPv6.
    private var owners: Slab<UInt32>
    /// How many of a row are lent, rows as in `owners`.
    private var owned: InlineArray<4, Int> = .init(repeating: 0)
    /// Ports of the host's own sockets, rows TCP and UDP, a bit each.
    private var held: Slab<UInt64>

    /// Fingerprints of remotes towards which no number was found when last looked: a refusal is then one comparison and not
    /// a walk. Forgotten as soon as a flow to such a remote ends or the host's own ports change, or another remote takes
    /// the place.
    private var exhausted: Slab<UInt64>

    /// - Parameter range: numbers that may be borrowed; at least one.
    package init(range: ClosedRange<UInt16>, live: consuming LiveBindings, seed: HashSeed) throws(KernelError) {
        self.range = range
        self.live = live
        self.seed = seed
        count = range.count
        wholeCount = range.count * 3 / 4
        let most = wholeCount * 4
        // Locals first: an initializer that throws must not have begun to own anything.
        let bindings = try Slab<Binding>(count: most)
        let index = try HashIndex(slots: most)
        var spare = try Slab<UInt32>(count: most)
        let users = try Slab<UInt32>(count: 2 * count)
        let owners = try Slab<UInt32>(count: most)
        let held = try Slab<UInt64>(count: 2 * LiveBindings.portWords)
        let exhausted = try Slab<UInt64>(count: 256)
        for slot in 0..<most { spare[slot] = UInt32(most - 1 - slot) }
        self.bindings = bindings
        self.index = index
        self.spare = spare
        spareCount = most
        self.users = users
        self.owners = owners
        self.held = held
        self.exhausted = exhausted
    }

    /// Names the ports that sockets of the host hold; flows that already borrow one keep it.
    package mutating func hold(_ transport: Transport, ports: [UInt16]) {
        let row = transport == .tcp ? 0 : LiveBindings.portWords
        for word in 0..<LiveBindings.portWords { held[row + word] = 0 }
        for port in ports { held[row + Int(port >> 6)] |= 1 << UInt64(port & 63) }
        for place in 0..<exhausted.count { exhausted[place] = 0 }
    }

    /// Whether some flow borrows this port now.
    package func isLent(_ transport: Transport, port: UInt16) -> Bool {
        guard let row = userRow(transport), range.contains(port) else { return false }
        return users[row * count + Int(port - range.lowerBound)] > 0
    }

    // MARK: Lending

    /// Finds a port for a new flow and counts the flow as its user.
    ///
    /// - Parameter isFree: whether no flow has this port towards this remote yet.
    /// - Returns: nothing when every number that was tried is taken towards this remote.
    package mutating func lend(_ inside: FlowKey, where isFree: (UInt16) -> Bool) -> Loan? {
        let hash = FlowKey(
            local: inside.local, remote: .unspecified, localPort: inside.localPort, remotePort: 0,
            transport: inside.transport
        ).hash(seed: seed)
        guard let loan = whole(inside, hash, isFree) ?? shared(inside, hash, isFree) else { return nil }
        guard use(loan.port, inside) else {
            if loan.binding != 0 { drop(binding: Int(loan.binding) - 1) }
            return nil
        }
        return loan
    }

    /// The client's own number, found or newly lent.
    private mutating func whole(_ inside: FlowKey, _ hash: UInt64, _ isFree: (UInt16) -> Bool) -> Loan? {
        guard inside.transport != .tcp, wholeCount > 0 else { return nil }
        let known = index.find(hash) { slot in
            bindings[slot].client == inside.local && bindings[slot].clientPort == inside.localPort
                && bindings[slot].transport == inside.transport
        }
        if let known {
            let port = bindings[known].outsidePort
            // Taken towards this remote only if a flow of the shared kind got there first, which the division prevents.
            guard isFree(port) else { return nil }
            bindings[known].flows += 1
            return Loan(port: port, binding: UInt32(known) + 1)
        }
        let row = ownerRow(inside)
        guard owned[row] < wholeCount, spareCount > 0 else { return nil }
        var position = Int(truncatingIfNeeded: (hash >> 32) % UInt64(wholeCount))
        for _ in 0..<wholeCount {
            let port = range.lowerBound &+ UInt16(truncatingIfNeeded: position)
            if owners[row * wholeCount + position] == 0, !isHeld(inside.transport, port), isFree(port) {
                spareCount -= 1
                let slot = Int(spare[spareCount])
                bindings[slot] = Binding(
                    client: inside.local, clientPort: inside.localPort, transport: inside.transport, outsidePort: port,
                    flows: 1, hash: hash)
                index.insert(hash, slot)
                owners[row * wholeCount + position] = UInt32(slot) + 1
                owned[row] += 1
                return Loan(port: port, binding: UInt32(slot) + 1)
            }
            position = position + 1 < wholeCount ? position + 1 : 0
        }
        return nil
    }

    /// How many shared numbers a beginning tries. Each try looks into the flow table, and whoever keeps a remote nearly full
    /// makes every beginning try many: a walk through 16,384 held the loop up for 0.5 ms, through 64,512 for 8 ms; 256 tries
    /// take up to 28 us (2 cores of an Intel Xeon at 2.5 GHz, 2026-11-21). The price is the last few numbers of a wide range:
    /// with 98 % of them taken towards a remote, one beginning in 200 finds none. Ranges up to 256 are lent to the last.
    private static let tries = 256

    /// A number that others may use too, towards other remotes.
    private mutating func shared(_ inside: FlowKey, _ hash: UInt64, _ isFree: (UInt16) -> Bool) -> Loan? {
        let first = inside.transport == .tcp ? 0 : wholeCount
        let width = count - first
        guard width > 0 else { return nil }
        let mark = remoteMark(inside)
        guard exhausted[Int(mark & 255)] != mark else { return nil }
        // Steps that share no divisor with the width visit every number once and, unlike single steps, do not pile up.
        var step = Int(truncatingIfNeeded: (hash & 0xFFFF_FFFF) % UInt64(width)) | 1
        while greatestCommonDivisor(step, width) != 1 { step += 2 }
        var position = Int(truncatingIfNeeded: (hash >> 32) % UInt64(width))
        for _ in 0..<min(width, Self.tries) {
            let port = range.lowerBound &+ UInt16(truncatingIfNeeded: first + position)
            if !isHeld(inside.transport, port), isFree(port) { return Loan(port: port, binding: 0) }
            position = (position + step) % width
        }
        exhausted[Int(mark & 255)] = mark
        return nil
    }

    // MARK: Taking back

    /// Ends one flow's use of its port.
    package mutating func takeBack(_ flow: borrowing Flow) {
        let inside = flow.insideKey
        let mark = remoteMark(inside)
        if exhausted[Int(mark & 255)] == mark { exhausted[Int(mark & 255)] = 0 }
        if flow.binding != 0 { drop(binding: Int(flow.binding) - 1) }
        guard let row = userRow(inside.transport) else {
            live.close(query: flow.outsidePort, to: flow.remote)
            return
        }
        let user = row * count + Int(flow.outsidePort - range.lowerBound)
        users[user] -= 1
        if users[user] == 0 {
            live.close(inside.transport, port: flow.outsidePort)
            borrowed[row] -= 1
        }
    }

    private mutating func drop(binding slot: Int) {
        bindings[slot].flows -= 1
        guard bindings[slot].flows == 0 else { return }
        let binding = bindings[slot]
        index.remove(binding.hash, slot)
        let row = ownerRow(binding.transport, isV4: binding.client.isV4)
        owners[row * wholeCount + Int(binding.outsidePort - range.lowerBound)] = 0
        owned[row] -= 1
        spare[spareCount] = UInt32(slot)
        spareCount += 1
    }

    // MARK: Counting

    /// Opens the way for answers; false when a query's fingerprint finds no room.
    private mutating func use(_ port: UInt16, _ inside: FlowKey) -> Bool {
        guard let row = userRow(inside.transport) else {
            return live.open(query: port, to: inside.remote)
        }
        let user = row * count + Int(port - range.lowerBound)
        if users[user] == 0 {
            live.open(inside.transport, port: port)
            borrowed[row] += 1
        }
        users[user] += 1
        return true
    }

    private func userRow(_ transport: Transport) -> Int? {
        switch transport {
        case .tcp: 0
        case .udp: 1
        default: nil
        }
    }

    private func ownerRow(_ inside: FlowKey) -> Int { ownerRow(inside.transport, isV4: inside.local.isV4) }

    private func ownerRow(_ transport: Transport, isV4: Bool) -> Int { (transport == .udp ? 0 : 1) + (isV4 ? 0 : 2) }

    /// ICMP identifiers are not sockets' numbers: the host holds none.
    private func isHeld(_ transport: Transport, _ port: UInt16) -> Bool {
        guard let row = userRow(transport) else { return false }
        return held[row * LiveBindings.portWords + Int(port >> 6)] & (1 << UInt64(port & 63)) != 0
    }

    private func remoteMark(_ inside: FlowKey) -> UInt64 {
        FlowKey(
            local: .unspecified, remote: inside.remote, localPort: 0, remotePort: inside.remotePort,
            transport: inside.transport
        ).hash(seed: seed) | 1
    }
}

private func greatestCommonDivisor(_ first: Int, _ second: Int) -> Int {
    var (a, b) = (first, second)
    while b != 0 { (a, b) = (b, a % b) }
    return a
}
