import TestSupport
import Testing

@testable import DataPlane

/// The bucket against one that counts its tokens in fractions of a bit, without rounding anything.
struct TokenBucketTests {
    /// Bits a second: those that divide a second well, and primes.
    private static let rates: [UInt64] = [
        1, 8000, 64_000, 512_000, 7_777_777, 10_000_000, 999_999_937, 10_000_000_000, 99_999_999_977,
    ]
    private static let start: UInt64 = 1 << 62

    /// Tokens in billionths of a bit: a bit a second earns one in a nanosecond, a byte costs eight billion.
    private struct Naive {
        var rate: Int128
        var burst: Int128
        var tokens: Int128
        var last: UInt64

        init(rate: UInt64, burst: UInt64, now: UInt64) {
            self.rate = Int128(rate)
            self.burst = Int128(rate) * Int128(burst)
            tokens = self.burst
            last = now
        }

        mutating func owesNothing(now: UInt64) -> Bool {
            refill(now)
            return tokens >= 0
        }

        mutating func spend(bytes: Int, now: UInt64) {
            refill(now)
            tokens -= Int128(bytes) * 8_000_000_000
        }

        mutating func change(rate: UInt64, burst: UInt64, now: UInt64) {
            refill(now)
            self.rate = Int128(rate)
            self.burst = Int128(rate) * Int128(burst)
            tokens = min(tokens, self.burst)
        }

        private mutating func refill(_ now: UInt64) {
            tokens = min(burst, tokens + Int128(now - last) * rate)
            last = now
        }
    }

    /// Nanoseconds that so many bytes last.
    private static func time(_ bytes: Int, _ rate: UInt64) -> UInt64 { UInt64(bytes) * 8_000_000_000 / rate }

    @Test(arguments: rates, isSoak ? 1...100 : 1...4)
    func `every decision is the one that a bucket of fractions makes`(rate: UInt64, seed: UInt64) {
        var random = RandomNumbers(seed: seed)
        let firstBurst = UInt64.random(in: 0...Self.time(9000, rate), using: &random)
        var now = Self.start
        var bucket = TokenBucket(rate: rate, burst: firstBurst, now: now)
        var naive = Naive(rate: rate, burst: firstBurst, now: now)
        var wrong = 0
        var admissions = 0
        for _ in 0..<5000 {
            let bytes = [0, 1, 40, 1500, 65_575].randomElement(using: &random) ?? 0
            switch UInt8.random(in: 0..<32, using: &random) {
            case 0:
                let other = Self.rates.randomElement(using: &random) ?? 1
                let burst = UInt64.random(in: 0...Self.time(9000, other), using: &random)
                bucket.change(rate: other, burst: burst, now: now)
                naive.change(rate: other, burst: burst, now: now)
            case 1:
                bucket.spend(bytes: bytes, now: now)
                naive.spend(bytes: bytes, now: now)
            case 2..<10:
                // To the very nanosecond, and not one earlier.
                let next = bucket.nextAdmission
                guard next > now else { continue }
                var (early, late) = (naive, naive)
                if early.owesNothing(now: next - 1) || !late.owesNothing(now: next) { wrong += 1 }
                now = next - UInt64.random(in: 0...1, using: &random)
            default:
                let isAdmitted = bucket.nextAdmission <= now
                if isAdmitted != naive.owesNothing(now: now) { wrong += 1 }
                if isAdmitted {
                    bucket.spend(bytes: bytes, now: now)
                    naive.spend(bytes: bytes, now: now)
                    admissions += 1
                }
                now += UInt64.random(in: 0...Self.time(3000, bucket.rate), using: &random)
            }
        }
        #expect(wrong == 0, "seed \(seed)")
        #expect(admissions > 500)
    }

    @Test(arguments: rates, isSoak ? 1...20 : 1...2)
    func `in no window is more sent than rate and burst allow, nor less, by more than a packet`(
        rate: UInt64, seed: UInt64
    ) {
        var random = RandomNumbers(seed: seed)
        let burst = Self.time(4000, rate) + 1
        var bucket = TokenBucket(rate: rate, burst: burst, now: Self.start)
        let longest = 2000
        var sent: [(moment: UInt64, total: Int128)] = [(Self.start, 0)]
        for _ in 0..<400 {
            let bytes = Int.random(in: 1...longest, using: &random)
            let moment = max(sent[sent.count - 1].moment, bucket.nextAdmission)
            bucket.spend(bytes: bytes, now: moment)
            sent.append((moment, sent[sent.count - 1].total + Int128(bytes) * 8_000_000_000))
        }
        var (tooMuch, tooLittle) = (0, 0)
        for first in 1..<sent.count {
            for last in first..<sent.count {
                let earned = Int128(sent[last].moment - sent[first].moment) * Int128(rate)
                // The last packet may be owed.
                let paid = sent[last - 1].total - sent[first - 1].total
                if paid > earned + Int128(burst) * Int128(rate) { tooMuch += 1 }
                // Between the two, neither counted.
                let between = max(0, sent[last - 1].total - sent[first].total)
                if between < earned - Int128(longest) * 8_000_000_000 - Int128(rate) { tooLittle += 1 }
            }
        }
        #expect(tooMuch == 0 && tooLittle == 0, "seed \(seed)")
    }

    @Test(arguments: rates.dropFirst())
    func `nothing drifts however long it runs`(rate: UInt64) {
        let bytes = 65_575
        var bucket = TokenBucket(rate: rate, burst: 0, now: Self.start)
        var moment = Self.start
        for _ in 0..<100_000 {
            moment = bucket.nextAdmission
            bucket.spend(bytes: bytes, now: moment)
        }
        // Without a burst, what a nanosecond's rounding wastes is lost: at most one per packet, and late, never early.
        let exact = Int128(99_999 * bytes) * 8_000_000_000
        let passed = Int128(moment - Self.start) * Int128(rate)
        #expect(passed >= exact && passed < exact + 100_000 * Int128(rate))
        // With one, nothing is.
        bucket = TokenBucket(rate: rate, burst: 1_000_000, now: Self.start)
        for _ in 0..<100_000 {
            moment = max(Self.start, bucket.nextAdmission)
            bucket.spend(bytes: bytes, now: moment)
        }
        let since = Int128(moment - Self.start) * Int128(rate) + 1_000_000 * Int128(rate)
        #expect(since >= exact && since < exact + Int128(rate))
    }

    @Test func `at 10 Gbit a second an octet lasts 0.8 ns`() {
        var bucket = TokenBucket(rate: 10_000_000_000, burst: 0, now: 100)
        let moments = (0..<6).map { _ in
            bucket.spend(bytes: 1, now: 100)
            return bucket.nextAdmission
        }
        #expect(moments == [101, 102, 103, 104, 104, 105])
    }

    @Test func `64 KiB at 8 kbit a second wait for 65.536 s`() {
        var bucket = TokenBucket(rate: 8000, burst: 1_000_000, now: Self.start)
        #expect(bucket.nextAdmission <= Self.start)
        bucket.spend(bytes: 65_536, now: Self.start)
        #expect(bucket.nextAdmission == Self.start + 65_536_000_000 - 1_000_000)
    }

    @Test func `what is longer than the burst goes once nothing is owed, and is paid for afterwards`() {
        // 1000 octets a second; a burst of a hundred.
        var bucket = TokenBucket(rate: 8000, burst: 100_000_000, now: 0)
        let moments = [100, 300, 1, 300].map { bytes in
            let moment = bucket.nextAdmission
            bucket.spend(bytes: bytes, now: moment)
            return moment
        }
        #expect(moments == [0, 0, 300_000_000, 301_000_000])
    }

    @Test func `a debt is the same number of octets at another rate, and an empty bucket stays empty`() {
        var slow = TokenBucket(rate: 64_000, burst: 5_000_000, now: 0)
        slow.spend(bytes: 1540, now: 0)
        slow.change(rate: 10_000_000, burst: 5_000_000, now: 0)
        // 40 octets were there.
        #expect(slow.nextAdmission == 1_200_000)

        var fast = TokenBucket(rate: 10_000_000, burst: 5_000_000, now: 0)
        fast.spend(bytes: 6250, now: 0)
        fast.change(rate: 64_000, burst: 5_000_000, now: 0)
        #expect(fast.nextAdmission == 0)
        fast.spend(bytes: 8, now: 0)
        #expect(fast.nextAdmission == 1_000_000)
    }
}
