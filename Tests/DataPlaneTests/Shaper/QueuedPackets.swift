import PacketParse

@testable import DataPlane

/// A packet as the tests of queues know it: who sent it and which it is.
struct QueuedPacket: Equatable, Hashable {
    var client: Int
    var flow: Int
    var number: Int
    /// Octets of IP.
    var length: Int
    var typeOfService: UInt8

    /// Any hash will do, but not the number itself: neighbours would not share a place in an index.
    static func hash(_ name: Int) -> UInt64 { UInt64(name + 1) &* 0x9e37_79b9_7f4a_7c15 }

    var clientHash: UInt64 { Self.hash(client) }
    var flowHash: UInt64 { Self.hash(client << 32 | flow) &+ 1 }

    /// A virtio header and an IPv4 packet that is whole as far as a queue looks: its first word, and its name in what
    /// follows.
    var octets: [UInt8] {
        var octets = [UInt8](repeating: 0, count: VirtioNetHeader.size + length)
        octets.replaceSubrange(10..<12, with: [0x45, typeOfService])
        octets.replaceSubrange(22..<34, with: [client, flow, number].flatMap { TestPacket.be(UInt32($0)) })
        return octets
    }

    init(client: Int, flow: Int, number: Int, length: Int, typeOfService: UInt8 = 0) {
        (self.client, self.flow, self.number, self.length) = (client, flow, number, length)
        self.typeOfService = typeOfService
    }

    init(_ beginning: RawSpan, length: Int) {
        self.init(
            client: Int(beginning.word32(at: 22)), flow: Int(beginning.word32(at: 26)),
            number: Int(beginning.word32(at: 30)), length: length - VirtioNetHeader.size,
            typeOfService: beginning.octet(at: 11))
    }
}

extension FairQueue {
    mutating func enqueue(_ packet: QueuedPacket, now: UInt64) {
        var octets = packet.octets
        var span = octets.mutableSpan
        var raw = unsafe span.mutableBytes
        enqueue(&raw, wireLength: packet.length, client: packet.clientHash, flow: packet.flowHash, now: now)
    }

    mutating func take(now: UInt64) -> QueuedPacket? {
        guard let departure = dequeue(now: now) else { return nil }
        return read(departure)
    }

    mutating func read(_ departure: consuming Departure) -> QueuedPacket {
        let beginning = store.beginning(of: departure.packet, length: departure.length)
        let packet = QueuedPacket(beginning.bytes, length: departure.length)
        free(departure)
        return packet
    }
}

extension Shaper {
    mutating func read(_ departure: consuming FairQueue.Departure) -> QueuedPacket { queue.read(departure) }
}
