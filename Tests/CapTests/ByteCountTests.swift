import Testing

@testable import Cap

@Suite("Amounts and rates, as a person reads them")
struct ByteCountTests {
    @Test(
        "At most three digits stand before the point and three behind it",
        arguments: [
            (0, "0B"), (1, "1B"), (999, "999B"), (1_000, "1kB"), (1_500, "1.5kB"), (1_234_567, "1.235MB"),
            (999_999, "999.999kB"), (999_999_499, "999.999MB"), (999_999_500, "1GB"), (35_000_000_000, "35GB"),
            (34_999_999_999, "35GB"), (1 << 30, "1.074GB"), (60_000_000, "60MB"),
            (1_000_000_000_000_000_000, "1000PB"), (.max, "18446.744PB"),
        ] as [(UInt64, String)])
    func byteCount(bytes: UInt64, text: String) {
        #expect("\(ByteCount(bytes))" == text)
    }

    @Test(
        "A rate is told in the unit it is written in",
        arguments: [
            (8_000, "8kbit/s"), (512_000, "512kbit/s"), (1_500_000, "1.5Mbit/s"), (1, "1bit/s"),
            (10_000_000_000, "10Gbit/s"), (100_000_000_000, "100Gbit/s"), (123_456_789, "123.457Mbit/s"),
        ] as [(UInt64, String)])
    func bitRate(bits: UInt64, text: String) {
        #expect("\(BitRate(bits))" == text)
    }

    @Test(
        "A share is told without zeros at its end",
        arguments: [
            (0, "0%"), (1, "0.01%"), (50, "0.5%"), (100, "1%"), (9_925, "99.25%"), (9_950, "99.5%"), (10_000, "100%"),
        ]
            as [(UInt64, String)])
    func share(basisPoints: UInt64, text: String) {
        #expect("\(Share(basisPoints: basisPoints))" == text)
    }
}
