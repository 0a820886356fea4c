import Foundation
import Glibc

/// A client that sends octets as it likes and takes what comes.
final class Caller {
    private let socket: CInt

    init(port: Int) throws {
        socket = Glibc.socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let answer = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard answer == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        unsafe setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(socket) }

    func send(_ text: String) {
        let octets = Array(text.utf8)
        _ = unsafe Glibc.send(socket, octets, octets.count, CInt(MSG_NOSIGNAL))
    }

    func get(_ path: String, _ fields: String...) {
        send("GET \(path) HTTP/1.1\r\nHost: localhost:1\r\n\(fields.map { $0 + "\r\n" }.joined())\r\n")
    }

    /// Says that no more will be sent.
    func endSending() { _ = shutdown(socket, CInt(SHUT_WR)) }

    /// All until the other side closes, or nothing comes for ten seconds.
    func rest() -> String {
        var text: [UInt8] = []
        while let more = read() { text += more }
        return String(decoding: text, as: UTF8.self)
    }

    /// A whole answer.
    func answer() -> String {
        var text = ""
        while let more = read() {
            text += String(decoding: more, as: UTF8.self)
            guard let end = text.firstRange(of: "\r\n\r\n") else { continue }
            let length = text[..<end.lowerBound].split(separator: "\r\n").first {
                $0.hasPrefix("content-length: ") || $0.hasPrefix("Content-Length: ")
            }
            let count = length.flatMap { Int($0.dropFirst("content-length: ".count)) } ?? 0
            if text[end.upperBound...].utf8.count >= count { return text }
        }
        return text
    }

    /// Nil once the other side has closed.
    private func read() -> [UInt8]? {
        var octets = [UInt8](repeating: 0, count: 4096)
        let count = unsafe recv(socket, &octets, octets.count, 0)
        return count > 0 ? Array(octets[..<count]) : nil
    }
}
