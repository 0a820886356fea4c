/// Octets counted by the kernel at each metering point, both ways, the uplink's by class.
///
/// As a reading they only grow while their epoch lasts. The points count the same traffic from two sides and are never
/// added to each other.
package struct MeterCounts: Equatable, Sendable {
    package enum Direction: Int, CaseIterable, Sendable { case egress, ingress }

    /// Why octets passed the uplink. The order is that of the kernel's map and of the ledger's slots.
    package enum Class: Int, CaseIterable, Sendable {
        case control, encapsulation, management, client, routed, leaked
    }

    /// Uplink egress by class, uplink ingress by class, tunnel egress, tunnel ingress.
    private var cells: InlineArray<14, UInt64>

    package static let cellCount = 14

    package init() { cells = InlineArray(repeating: 0) }

    /// In the order of the cells, as the kernel has them.
    package init(_ next: () -> UInt64) { cells = InlineArray { _ in next() } }

    package subscript(direction: Direction, class: Class) -> UInt64 {
        get { cells[direction.rawValue * Class.allCases.count + `class`.rawValue] }
        set { cells[direction.rawValue * Class.allCases.count + `class`.rawValue] = newValue }
    }

    package subscript(tunnel direction: Direction) -> UInt64 {
        get { cells[Self.cellCount - Direction.allCases.count + direction.rawValue] }
        set { cells[Self.cellCount - Direction.allCases.count + direction.rawValue] = newValue }
    }

    package var inOrder: [UInt64] { cells.indices.map { cells[$0] } }

    package func total(_ direction: Direction, at point: MeteringPoint) -> UInt64 {
        switch point {
        case .uplink: Class.allCases.reduce(0) { $0.adding(self[direction, $1]) }
        case .tunnel: self[tunnel: direction]
        }
    }

    package func total(at point: MeteringPoint) -> UInt64 {
        total(.egress, at: point).adding(total(.ingress, at: point))
    }

    package mutating func add(_ other: MeterCounts) {
        for index in cells.indices { cells[index] = cells[index].adding(other.cells[index]) }
    }

    /// What came to an earlier reading since. A cell that went backwards began anew: all that is in it came since.
    package func since(_ earlier: MeterCounts) -> MeterCounts {
        var difference = self
        for index in cells.indices where cells[index] >= earlier.cells[index] {
            difference.cells[index] = cells[index] - earlier.cells[index]
        }
        return difference
    }

    /// Whether some cell went backwards.
    func isBehind(_ earlier: MeterCounts) -> Bool { cells.indices.contains { cells[$0] < earlier.cells[$0] } }

    package static func == (left: MeterCounts, right: MeterCounts) -> Bool {
        left.cells.indices.allSatisfy { left.cells[$0] == right.cells[$0] }
    }
}

/// The life of a set of counters. Readings can be subtracted only within one.
package struct Epoch: Hashable, Sendable {
    /// /proc/sys/kernel/random/boot_id
    package let bootID: UInt128
    /// The kernel's number of the eBPF map.
    package let map: UInt32

    package init(bootID: UInt128, map: UInt32) {
        self.bootID = bootID
        self.map = map
    }
}

/// What the counters said at one moment.
package struct Reading: Equatable, Sendable {
    package var epoch: Epoch
    package var counts: MeterCounts

    package init(epoch: Epoch, counts: MeterCounts) {
        self.epoch = epoch
        self.counts = counts
    }
}

/// What is billed: at which point, and which way.
package struct Metering: Hashable, Sendable {
    package var point: MeteringPoint
    package var direction: BilledDirection

    package init(at point: MeteringPoint = .uplink, _ direction: BilledDirection = .both) {
        self.point = point
        self.direction = direction
    }
}

extension UInt64 {
    /// Stays at the largest number: counts come from files and from other programs.
    func adding(_ other: UInt64) -> UInt64 {
        let (sum, isTooLarge) = addingReportingOverflow(other)
        return isTooLarge ? .max : sum
    }

    /// Stays at zero.
    func taking(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }
}
