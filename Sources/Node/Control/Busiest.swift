/// Keeps the heaviest of many elements in the room of a few, so that a million flows are listed without a million
/// copies. A binary heap whose root is the lightest kept.
package struct Busiest<Element> {
    private let count: Int
    private var heap: [(weight: UInt64, element: Element)] = []

    package init(_ count: Int) { self.count = count }

    /// Takes the element in if it outweighs one that is kept; only then is it asked for.
    package mutating func offer(_ weight: UInt64, _ element: @autoclosure () -> Element) {
        if heap.count < count {
            heap.append((weight, element()))
            rise()
        } else if let lightest = heap.first, lightest.weight < weight {
            heap[0] = (weight, element())
            sink()
        }
    }

    /// The kept, heaviest first.
    package consuming func sorted() -> [Element] {
        heap.sorted { $0.weight > $1.weight }.map(\.element)
    }

    private mutating func rise() {
        var child = heap.count - 1
        while child > 0, heap[child].weight < heap[(child - 1) / 2].weight {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func sink() {
        var parent = 0
        while let lighter = [2 * parent + 1, 2 * parent + 2].filter(heap.indices.contains)
            .min(by: { heap[$0].weight < heap[$1].weight }), heap[lighter].weight < heap[parent].weight
        {
            heap.swapAt(parent, lighter)
            parent = lighter
        }
    }
}
