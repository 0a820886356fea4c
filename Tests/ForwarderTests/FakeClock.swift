import Foundation
import LinuxSystem
import Testing

/// The clock of a program that a test starts: it stands where it is set (libfaketime). The monotonic ones go on.
enum FakeClock {
    /// A clock that stands at a moment, for `env`.
    static func showing(_ moment: Date) -> [String: String] {
        common.merging(["FAKETIME": seconds(moment)]) { $1 }
    }

    /// A clock that is set, at any time, by a file: that holds `seconds` of a moment.
    static func following(_ file: String) -> [String: String] {
        common.merging(["FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_NO_CACHE": "1"]) { $1 }
    }

    /// Time itself, by such a file: all clocks show it, so that none has leapt.
    static func passing(by file: String) -> [String: String] {
        following(file).merging(["FAKETIME_DONT_FAKE_MONOTONIC": "0"]) { $1 }
    }

    static func seconds(_ moment: Date) -> String { "\(Int64(moment.timeIntervalSince1970))" }

    private static let common = [
        // The linker puts the machine's own folder in.
        "LD_PRELOAD": "/usr/$LIB/faketime/libfaketime.so.1", "FAKETIME_FMT": "%s", "TZ": "UTC",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        // It sets this, which moves the environment unless the name is there; and a Swift program looks for its arguments
        // beside that (swiftlang/swift#76080).
        "FAKETIME_SHARED": "none none",
    ]

    static let isThere: Bool = {
        let moment = Date(timeIntervalSince1970: 1_000_000_000)
        let date = try? ChildProcess(["env"] + showing(moment).map { "\($0)=\($1)" } + ["date", "+%s"])
        return date?.wait(upTo: .seconds(5)) == .exited(0) && date?.standardOutput == seconds(moment) + "\n"
    }()
}

extension Trait where Self == ConditionTrait {
    static var clockCanBeFaked: Self {
        .enabled(if: FakeClock.isThere, "faking a clock needs libfaketime (apt-get install libfaketime)")
    }
}
