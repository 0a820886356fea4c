/// How much of clients' packets may pass, each direction for itself.
package enum Gate: Hashable, Sendable, BitwiseCopyable {
    case open
    case limited(bitsPerSecond: UInt64)
    case closed

    /// For an atomic: zero is open, all ones are closed, anything else is the rate.
    var word: UInt64 {
        switch self {
        case .open: 0
        case .limited(let rate): min(max(rate, 1), .max - 1)
        case .closed: .max
        }
    }

    init(word: UInt64) {
        self =
            switch word {
            case 0: .open
            case .max: .closed
            case let rate: .limited(bitsPerSecond: rate)
            }
    }
}
