import NIOCore

/// A message with one question of class IN and, for a query, its OPT record behind it.
func query(
    _ name: String, type: UInt16 = 1, id: UInt16 = 0x1234, flags: UInt16 = 0x0100, questions: UInt16 = 1
) -> ByteBuffer {
    var message = ByteBuffer()
    message.writeMultipleIntegers(id, flags, questions, UInt16(0), UInt16(0), UInt16(1))
    for label in name.split(separator: ".") {
        message.writeInteger(UInt8(label.utf8.count))
        message.writeString(String(label))
    }
    message.writeMultipleIntegers(UInt8(0), type, UInt16(1))
    // EDNS with a client's cookie: opaque to us.
    message.writeBytes([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])
    return message
}

extension ByteBuffer {
    init(_ octets: [UInt8]) { self.init(bytes: octets) }
    var octets: [UInt8] { Array(readableBytesView) }
    /// The last octet of the flags.
    var code: UInt8 { (getInteger(at: readerIndex + 3, as: UInt8.self) ?? 0) & 0xF }
    var isAnswer: Bool { (getInteger(at: readerIndex + 2, as: UInt8.self) ?? 0) & 0x80 != 0 }
}
