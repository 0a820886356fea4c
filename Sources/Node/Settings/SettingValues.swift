import LinuxNetwork
import Steering

// From text to value, one function per kind of value. Each throws the reason, which continues `"text" `.

/// The name of an interface that we attach to and do not own (the kernel's `dev_valid_name`, and no control
/// characters).
func edgeName(_ text: String) throws(Misfit) -> String {
    guard (1...15).contains(text.utf8.count) else {
        throw Misfit(reason: "has \(text.utf8.count) octets where an interface name has 1 to 15")
    }
    guard text != ".", text != "..", text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f && $0 != 0x2f && $0 != 0x3a })
    else {
        throw Misfit(reason: "is no interface name: those have no blank, colon or slash")
    }
    guard text != "fwd-in", text != "fwd-out" else {
        throw Misfit(reason: "is the name of a port of forwarder's own")
    }
    return text
}

func edgeName(_ text: String) throws(Misfit) -> String? {
    let name: String = try edgeName(text)
    return name
}

/// One of a closed list of words.
func choice<Choice: CaseIterable & RawRepresentable<String>>(_ text: String) throws(Misfit) -> Choice {
    try choice(text, among: Array(Choice.allCases))
}

func choice<Choice: RawRepresentable<String>>(_ text: String, among choices: [Choice]) throws(Misfit) -> Choice {
    guard let choice = choices.first(where: { $0.rawValue == text }) else {
        throw Misfit(reason: "is none of \(choices.map(\.rawValue).joined(separator: ", "))")
    }
    return choice
}

/// Decimal digits only: a sign, a fraction or a group separator is refused, not guessed at.
func wholeNumber<Number: FixedWidthInteger>(_ text: String, in range: ClosedRange<Number>) throws(Misfit) -> Number {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
        throw Misfit(reason: "is not a whole number")
    }
    guard let number = Number(text), range.contains(number) else {
        throw Misfit(reason: "is outside \(range.lowerBound) to \(range.upperBound)")
    }
    return number
}

/// First and last port. Below 1024 live the host's services.
func bindingPorts(_ text: String) throws(Misfit) -> PortRange {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
    guard ends.count == 2 else { throw Misfit(reason: "is not two ports joined by a dash") }
    let first: UInt16 = try wholePort(ends[0], of: text)
    let last: UInt16 = try wholePort(ends[1], of: text)
    guard first <= last else { throw Misfit(reason: "ends before it begins") }
    return PortRange(first: first, last: last)
}

private func wholePort(_ text: String, of range: String) throws(Misfit) -> UInt16 {
    do {
        return try wholeNumber(text, in: 1_024...65_535)
    } catch {
        throw Misfit(reason: "holds \"\(text)\", which \(error.reason)")
    }
}

/// Prefixes joined by commas; none is a list too.
func prefixes(_ text: String) throws(Misfit) -> [IPPrefix] {
    guard !text.isEmpty else { return [] }
    var prefixes: [IPPrefix] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let written = String(part.drop { $0 == " " })
        guard let prefix = IPPrefix(written) else {
            throw Misfit(
                reason: "holds \"\(written)\", which is no prefix (an address, a slash, a length; no host bits)")
        }
        guard prefix.length > 0, !prefix.holdsMappedIPv4 else {
            throw Misfit(reason: "holds \"\(written)\", to which everything belongs: nothing would be forwarded")
        }
        prefixes.append(prefix)
    }
    guard prefixes.count <= NodeSettings.localLimit else {
        throw Misfit(reason: "holds \(prefixes.count) prefixes, and there is room for \(NodeSettings.localLimit)")
    }
    return prefixes
}

/// An absolute path that fits a `sockaddr_un`.
func socketPath(_ text: String) throws(Misfit) -> String {
    guard text.hasPrefix("/"), !text.hasSuffix("/"), !text.utf8.contains(0) else {
        throw Misfit(reason: "is not the absolute path of a file")
    }
    guard text.utf8.count <= 107 else {
        throw Misfit(reason: "has \(text.utf8.count) octets where a Unix socket has at most 107")
    }
    return text
}

/// An absolute path of a file, or `none`.
func filePath(_ text: String) throws(Misfit) -> String? {
    guard text != "none" else { return nil }
    guard isAbsolutePath(text), !text.hasSuffix("/") else { throw Misfit(reason: "is not the absolute path of a file") }
    return text
}

/// An absolute path, without a slash at its end.
func directoryPath(_ text: String) throws(Misfit) -> String {
    guard isAbsolutePath(text) else { throw Misfit(reason: "is not the absolute path of a directory") }
    return text.count > 1 && text.hasSuffix("/") ? String(text.dropLast()) : text
}

/// PATH_MAX, and room for a name below it.
private func isAbsolutePath(_ text: String) -> Bool {
    text.hasPrefix("/") && text.utf8.count < 3_800 && !text.utf8.contains(0)
}

/// Services joined by commas; `none`, or nothing, is a list too.
func services(_ text: String) throws(Misfit) -> [GuardRules.Service]? {
    guard !text.isEmpty, text != "none" else { return [] }
    var services: [GuardRules.Service] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let written = String(part.drop { $0 == " " })
        let words = written.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 2, let transport = GuardRules.Service.Transport(rawValue: words[0]) else {
            throw Misfit(reason: "holds \"\(written)\", which is not tcp or udp, a slash and a port")
        }
        do {
            services.append(.init(transport, try wholeNumber(words[1], in: 1...65_535)))
        } catch {
            throw Misfit(reason: "holds \"\(written)\", whose port \(error.reason)")
        }
    }
    return services
}
