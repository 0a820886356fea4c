import Cap
import Testing

@testable import Node

@Suite("What the settings of the cap mean")
struct CapSettingsTests {
    @Test("Nothing written caps nothing; a cap alone is enough")
    func defaults() throws {
        #expect(try NodeSettings(Spec()).cap.allowance() == nil)
        let settings = try NodeSettings(Spec(environment: ["FORWARDER_CAP": "35GB"]))
        #expect(settings.cap.limit == ByteCount(35_000_000_000))
        #expect(settings.cap.meter == .uplink && settings.cap.direction == .both)
        #expect(settings.cap.calendar == BillingCalendar(resetDay: 1, zone: .utc))
        #expect(settings.cap.stages.description == "80% warn, 90% pace, 95% rate 512kbit/s, 100% stop")
        #expect(settings.cap.reserve == .share(.percent(1)))
        #expect(settings.cap.statusFile == nil)
        #expect(settings.stateDirectory == "/var/lib/forwarder")
    }

    @Test("Every value is read as what it means")
    func values() throws {
        let settings = try NodeSettings(
            Spec(flags: [
                "cap": "1.5TiB", "cap-meter": "tunnel", "cap-direction": "max", "cap-reset-day": "31",
                "cap-zone": "Australia/Lord_Howe",
                "cap-stages": "0.5% warn, 30 GB rate 1.5Mbit/s,99.25%   pace 8kbit/s",
                "cap-reserve": "512 MiB", "cap-status-file": "/run/cap.json", "state-dir": "/var/lib/other/",
            ]))
        #expect(settings.cap.limit == ByteCount(3 << 39))
        #expect(settings.cap.meter == .tunnel && settings.cap.direction == .max)
        #expect(settings.cap.resetDay == 31 && settings.cap.zone.name == "Australia/Lord_Howe")
        #expect(
            settings.cap.stages
                == Stages([
                    Stage(.share(Share(basisPoints: 50)), .warn),
                    Stage(.bytes(ByteCount(30_000_000_000)), .rate(BitRate(1_500_000))),
                    Stage(.share(Share(basisPoints: 9_925)), .pace(floor: BitRate(8_000))),
                ]))
        #expect(settings.cap.reserve == .bytes(ByteCount(512 << 20)))
        #expect(settings.cap.statusFile == "/run/cap.json")
        #expect(settings.stateDirectory == "/var/lib/other")
        let none = try NodeSettings(
            Spec(flags: ["cap": "none", "cap-stages": "none"], environment: ["FORWARDER_CAP": "35GB"]))
        #expect(none.cap.limit == nil && none.cap.stages.list.isEmpty)
    }

    @Test("A key that is a value and holds others is written flat, or as a map with an empty key")
    func nestedValue() throws {
        let meant = try NodeSettings(
            Spec(flags: ["cap": "35GB", "cap-meter": "tunnel", "cap-stages": "80% warn, 100% stop"]))
        for yaml in [
            "cap: 35GB\ncap.meter: tunnel\ncap.stages: 80% warn, 100% stop",
            "\"cap.meter\": tunnel\ncap: 35GB\ncap.stages: [80% warn, 100% stop]",
            "cap: {\"\": 35GB, meter: tunnel, stages: \"80% warn, 100% stop\"}",
            "cap:\n  '': 35GB\n  meter: tunnel\n  stages:\n  - 80% warn\n  - 100% stop",
        ] {
            #expect(try NodeSettings(Spec(file: SettingsFile(yaml: yaml, path: "f.yaml"))) == meant, "\(yaml)")
        }
    }

    @Test(
        "What is written flat and in a map is refused as said twice",
        arguments: [
            ("cap.meter: tunnel\ncap: {meter: uplink}", "cap.meter"),
            ("cap: {\"\": 35GB, meter: uplink}\ncap.meter: uplink", "cap.meter"),
            ("cap: 35GB\ncap: {meter: uplink}", "cap"),
        ])
    func saidTwice(yaml: String, key: String) throws {
        let refused = try #require(refusal { try SettingsFile(yaml: yaml, path: "f.yaml") })
        #expect(refused.because == "it says \(key) more than once")
    }

    @Test(
        "Amounts are taken exactly",
        arguments: [
            ("1B", 1), ("0.001kB", 1), ("1.000GB", 1_000_000_000), ("1.5GB", 1_500_000_000), ("1GiB", 1 << 30),
            ("0.5KiB", 512), ("500 MB", 500_000_000), ("007MB", 7_000_000), ("0.0009765625KiB", 1),
            ("1.000000001GB", 1_000_000_001), ("35.123456789GB", 35_123_456_789), ("1000PB", 1_000_000_000_000_000_000),
            ("0.000000000000000888178419700125232338905334472656250PiB", nil), ("1.0000000001GB", nil), ("0.5B", nil),
            ("0.0009765626KiB", nil), ("1000.000000000000001PB", nil), ("18446744073709551616B", nil),
            ("99999999999999999999999999999999999999999999PB", nil),
        ] as [(String, UInt64?)])
    func amounts(text: String, bytes: UInt64?) throws {
        #expect((try? byteCount(text))?.bytes == bytes)
    }

    @Test(
        "A wrong value is told why",
        arguments: [
            ("cap", "0GB", "would let nothing pass"), ("cap", "-35GB", "is negative"),
            ("cap", "35", "has no unit, which is B, kB"),
            ("cap", "", "does not begin with a number"), ("cap", "GB", "does not begin with a number"),
            ("cap", "+35GB", "does not begin with a number"), ("cap", "1.GB", "does not begin with a number"),
            ("cap", ".5GB", "does not begin with a number"), ("cap", "1.5.2GB", "does not begin with a number"),
            ("cap", "٣٥GB", "does not begin with a number"), ("cap", "35G", "has the unit \"G\", which is not B, kB"),
            ("cap", "35gb", "did you mean GB?"), ("cap", "35Gb", "did you mean GB?"),
            ("cap", "35 gib", "did you mean GiB?"),
            ("cap", "35  GB", "has the unit \" GB\""), ("cap", "1,5GB", "has the unit \",5GB\""),
            ("cap", "35GB ", "has the unit"),
            ("cap", "80%", "has the unit \"%\""), ("cap", "1001PB", "is more than 1000PB"),
            ("cap", "0.1B", "is finer than a byte"),
            ("cap.meter", "vpn", "is none of uplink, tunnel"),
            ("cap.direction", "in", "is none of both, egress, ingress, max"),
            ("cap.reset_day", "0", "is outside 1 to 31"), ("cap.reset_day", "32", "is outside 1 to 31"),
            ("cap.reset_day", "1st", "is not a whole number"),
            ("cap.stages", "", "is not a share or an amount and what happens"),
            ("cap.stages", "80%", "is not a share or an amount"),
            ("cap.stages", "80% warn,", "holds \"\""),
            ("cap.stages", "warn 80%", "where \"warn\" does not begin with a number"),
            ("cap.stages", "80 warn", "where \"80\" has no unit, which is %, B"),
            ("cap.stages", "90% warn, 80% stop", "holds \"80% stop\" after \"90% warn\", which begins later"),
            ("cap.stages", "30GB warn, 90% pace, 20GB rate 1Mbit/s", "holds \"20GB rate 1Mbit/s\" after \"30GB warn\""),
            ("cap.stages", "80% warn, 80.0% pace", "holds two stages at 80%"),
            ("cap.stages", "1GB warn, 1000MB pace", "holds two stages at 1GB"),
            ("cap.stages", "90% stop, 95% warn", "holds \"95% warn\" after \"90% stop\", and nothing"),
            ("cap.stages", "0% warn", "where \"0%\" is before anything is used"),
            ("cap.stages", "0GB warn", "is before anything"),
            ("cap.stages", "100.01% stop", "where \"100.01%\" is more than 100%"),
            ("cap.stages", "-1% stop", "where \"-1%\" is negative"),
            ("cap.stages", "80.125% warn", "is finer than a hundredth of a percent"),
            ("cap.stages", "80% pase", "where \"pase\" is not warn, rate, pace or stop: did you mean pace?"),
            ("cap.stages", "80% throttle", "where \"throttle\" is not warn, rate, pace or stop"),
            ("cap.stages", "80% Warn", "did you mean warn?"),
            ("cap.stages", "80% rate", "which says no rate"),
            ("cap.stages", "80% rate fast", "\"fast\" does not begin"),
            ("cap.stages", "80% rate 512", "\"512\" has no unit, which is bit/s, kbit/s"),
            ("cap.stages", "80% rate 512kb/s", "has the unit \"kb/s\""),
            ("cap.stages", "80% rate 0bit/s", "is outside 8kbit/s to 100Gbit/s"),
            ("cap.stages", "80% rate 512KBIT/S", "did you mean kbit/s?"),
            ("cap.stages", "80% pace 1kbit/s", "is outside 8kbit/s"),
            ("cap.stages", "80% rate 101Gbit/s", "is outside"),
            ("cap.stages", "80% warn me", "where nothing may follow \"warn\""),
            ("cap.stages", "100% stop 1kbit/s", "where nothing may follow \"stop\""),
            ("cap.stages", "80%warn", "is not a share or an amount"),
            ("cap.reserve", "1", "has no unit, which is %"), ("cap.reserve", "101%", "is more than 100%"),
            ("cap.reserve", "-1%", "is negative"),
            ("cap.status_file", "cap.json", "is not the absolute path of a file"),
            ("cap.status_file", "/run/", "is not the absolute path of a file"),
            ("cap.status_file", "", "is not the absolute"),
            ("state_dir", "", "is not the absolute path of a directory"),
            ("state_dir", "state", "is not the absolute path"),
            ("state_dir", "/" + String(repeating: "x", count: 4_000), "is not the absolute path"),
            ("cap.zone", "", "is no time zone"), ("cap.zone", "PST", "is no time zone of the IANA database"),
        ])
    func wrongValues(key: String, text: String, reason: String) throws {
        let setting = try #require(Setting.catalogue.first { $0.key == key })
        let refused = try #require(refusal { try NodeSettings(Spec(environment: [setting.variable: text])) })
        #expect(refused.exitCode == .usage)
        #expect(refused.couldNot == "read the setting \(key)")
        #expect(refused.because.hasPrefix("\"\(text)\" ") && refused.because.hasSuffix(" (\(setting.variable))"))
        #expect(refused.because.contains(reason), "\(refused.because)")
        #expect(refused.remedy == "write for example \(setting.variable)=\(shellWord(setting.example))")
    }

    @Test(
        "Of an unknown zone the nearest known one is the remedy",
        arguments: [
            ("Europe/Berlim", "Europe/Berlin"), ("europe/berlin", "Europe/Berlin"), ("Berlin", "Europe/Berlin"),
            ("new york", "America/New_York"), ("Asia/Kolkatta", "Asia/Kolkata"), ("utc", "UTC"),
            ("EUROPE/LONDON", "Europe/London"), ("Europe/Nirgendwo", "Europe/Berlin"), ("IST", "Europe/Berlin"),
        ])
    func nearestZones(text: String, meant: String) throws {
        let refused = try #require(refusal { try NodeSettings(Spec(flags: ["cap-zone": text])) })
        #expect(refused.because == "\"\(text)\" is no time zone of the IANA database (--cap-zone)")
        #expect(refused.remedy == "write for example --cap-zone \(meant)")
    }

    @Test(
        "Cap, stages and reserve that do not fit each other are refused, and a pair that does is shown",
        arguments: [
            (["cap": "35GB", "cap-stages": "36GB stop"], "\"36GB stop\" begins above the cap of 35GB"),
            (
                ["cap": "35GB", "cap-stages": "30GB warn, 80% pace"],
                "of a cap of 35GB \"80% pace\" does not begin after \"30GB warn\""
            ),
            (["cap": "35GB", "cap-stages": "80% warn, 28GB pace"], "\"28GB pace\" does not begin after \"80% warn\""),
            (
                ["cap": "35GB", "cap-stages": "80% warn, 99% rate 1Mbit/s, 100% stop"],
                "\"99% rate 1Mbit/s\" never holds: stop leaves a reserve of 1%"
            ),
            (
                ["cap": "35GB", "cap-stages": "98% warn, 35GB stop", "cap-reserve": "1GB"],
                "\"98% warn\" never holds: stop leaves a reserve of 1GB"
            ),
            (["cap": "1GB", "cap-reserve": "1GB"], "of a cap of 1GB a reserve of 1GB leaves nothing"),
            (["cap": "1GB", "cap-reserve": "100%"], "a reserve of 100% leaves nothing"),
            (["cap": "1B"], "leaves nothing"),
        ])
    func misfits(flags: [String: String], reason: String) throws {
        let refused = try #require(refusal { try NodeSettings(Spec(flags: flags)) })
        #expect(refused.exitCode == .usage)
        #expect(refused.because.contains(reason), "\(refused.because)")
        #expect(refused.couldNot.hasPrefix("use the settings cap and cap."))
        let fitting =
            reason.hasSuffix("leaves nothing")
            ? "--cap-reserve 1%" : "--cap-stages '80% warn, 90% pace, 95% rate 512kbit/s, 100% stop'"
        #expect(refused.remedy == "write for example --cap 35GB \(fitting)")
    }

    @Test("What only a cap can put out of order is no matter without one")
    func stagesWithoutCap() throws {
        #expect(throws: Never.self) { try NodeSettings(Spec(flags: ["cap-stages": "30GB warn, 80% pace, 36GB stop"])) }
        #expect(throws: Never.self) {
            try NodeSettings(Spec(flags: ["cap": "37GB", "cap-stages": "29GB warn, 80% pace, 36GB stop"]))
        }
    }

    @Test("Stages read as they are written read the same again")
    func stagesAgain() throws {
        for text in [
            "80% warn, 90% pace, 95% rate 512kbit/s, 100% stop", "30GB rate 512kbit/s, 32GB rate 128kbit/s, 35GB stop",
            "0.01% warn, 50.5% pace 128kbit/s", "none",
        ] {
            #expect(try stages(text).description == text)
        }
    }
}
