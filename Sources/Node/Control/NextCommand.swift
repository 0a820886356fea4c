/// A line that a person may type next, about the node with this control socket.
///
/// It names the socket wherever that is not the default, so that it works as typed however the socket was given: by flag,
/// by a variable of one command, by a file.
package func nextCommand(_ verb: String, controlSocket: String) -> String {
    let line = "forwarder \(verb)"
    return controlSocket == NodeSettings().controlSocket ? line : "\(line) --control-socket \(shellWord(controlSocket))"
}

/// A text as a shell reads it back in one piece.
func shellWord(_ text: String) -> String {
    if text.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "/-._,:%".contains($0)) }) { return text }
    return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
}
