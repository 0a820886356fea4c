import LinuxNetwork
import PacketParse

/// The text with every address in it replaced, whoever's it is: nobody learns from a log who went where. Those of loopback,
/// and what stands for all addresses, are nobody's and stay.
///
/// Who writes a line names none. This is for what is told by others and passed on: a kernel's refusal, a person's settings.
func maskingAddresses(in text: String) -> String {
    // Nearly every line has neither.
    guard text.utf8.contains(where: { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") }) else { return text }
    return maskingQuads(in: maskingWords(in: text))
}

private func maskingWords(in text: String) -> String {
    var masked = ""
    var rest = text[...]
    while !rest.isEmpty {
        let word = rest.prefix { $0.isAddressLetter }
        if let address = word.leadingAddress(after: masked.last) {
            masked += "(address)"
            rest = rest.dropFirst(address.count)
            // [2001:db8::1]:53
            if rest.hasPrefix("]:") { rest = "]" + rest.dropFirst(2).drop { $0.isNumber } }
        } else if word.isEmpty {
            masked.append(rest.removeFirst())
        } else {
            // remote:192.0.2.1: behind a colon another may begin.
            let end = word.firstIndex(of: ":").map { word.index(after: $0) } ?? word.endIndex
            masked += word[..<end]
            rest = rest[end...]
        }
    }
    return masked
}

/// Four numbers with dots between them are taken for an address whatever stands around them: what a person has mistyped into a
/// setting is repeated to that person, and may be nearly one.
private func maskingQuads(in text: String) -> String {
    var masked = ""
    var rest = text[...]
    while let start = rest.firstIndex(where: \.isDigit) {
        masked += rest[..<start]
        var run = rest[start...].prefix { $0.isDigit || $0 == "." }
        while run.last == "." { run.removeLast() }
        rest = rest[run.endIndex...]
        let numbers = run.split(separator: ".")
        guard numbers.count >= 4, IPAddress(numbers.joined(separator: "."))?.isNobodys != true else {
            masked += run
            continue
        }
        masked += "(address)"
        // What is meant for a port.
        while rest.first == ":", rest.dropFirst().first?.isDigit == true {
            rest = rest.dropFirst().drop(while: \.isDigit)
        }
    }
    return masked + rest
}

extension Character {
    fileprivate var isDigit: Bool { isASCII && isNumber }

    /// Whether it may stand within an address, or in the port behind it.
    fileprivate var isAddressLetter: Bool { isASCII && (isHexDigit || self == "." || self == ":") }
}

extension Substring {
    /// The address that this begins with, with the port behind it; none within a longer word, nor one that is nobody's.
    fileprivate func leadingAddress(after before: Character?) -> Substring? {
        if let before, before.isLetter || before.isNumber || before == "_" { return nil }
        // What ends a sentence, or leads to an errno's text, does not end an address.
        var text = self
        while let last = text.last, last == "." || last == ":", IPAddress(String(text)) == nil { text.removeLast() }
        if let address = IPAddress(String(text)) { return address.isNobodys ? nil : text }
        // 192.0.2.1:53, and ::ffff:192.0.2.1
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let parts = [text[..<colon], text[text.index(after: colon)...]].compactMap { IPAddress(String($0)) }
        return parts.contains { $0.isV4 && !$0.isNobodys } || text.isNearlyV6 ? text : nil
    }
}

extension Substring {
    /// Groups as of an IPv6 address, though it is none.
    fileprivate var isNearlyV6: Bool {
        let groups = split(separator: ":")
        return contains("::") && contains(where: \.isDigit) || groups.count > 3 && groups.contains { $0.count == 4 }
    }
}

extension IPAddress {
    /// The host's own, in every host, or a placeholder.
    fileprivate var isNobodys: Bool { isLoopback || isUnspecified }
}
