package import NIOCore

/// The one question of a message, and all of a message that is read: the header's twelve octets and this name
/// (RFC 1035 section 4.1). What comes behind, EDNS among it, is nobody's business here.
package struct Question: Equatable, Sendable {
    package let name: DomainName
    /// The name as it was written, with type and class: what an answer must repeat (RFC 5452 section 3).
    package let octets: [UInt8]

    /// Why a message is no question. Its header may be good enough to be answered with that: the raw values are the codes that
    /// RFC 1035 section 4.1.1 has for it, the last one for what no resolver is asked for.
    package enum Flaw: UInt8, Error {
        /// To be answered by silence: an answer, or too short to be told what is wrong with it.
        case unanswerable
        case formatError = 1
        case notImplemented = 4
    }

    static let headerLength = 12

    /// Reads a query.
    package init(of query: ByteBuffer) throws(Flaw) {
        let message = query.readableBytesView
        guard message.count >= Self.headerLength, !Self.isAnswer(message) else { throw .unanswerable }
        // Transfers of zones, updates and notifications are for servers of zones.
        guard message[message.startIndex + 2] >> 3 & 0xF == 0 else { throw .notImplemented }
        guard let question = Self(in: message) else { throw .formatError }
        self = question
    }

    /// - Returns: nil unless the message has exactly one question, and all of it.
    private init?(in message: ByteBufferView) {
        let start = message.startIndex
        guard message[start + 4] == 0, message[start + 5] == 1 else { return nil }
        let rest = message.dropFirst(Self.headerLength)
        guard let name = DomainName(in: rest), rest.count >= name.octets.count + 4 else { return nil }
        self.name = name
        octets = Array(rest.prefix(name.octets.count + 4))
    }

    private static func isAnswer(_ message: ByteBufferView) -> Bool { message[message.startIndex + 2] & 0x80 != 0 }

    /// Whether a message answers this question, asked with this number.
    package func isAnswered(by message: ByteBuffer, id: UInt16) -> Bool {
        let view = message.readableBytesView
        return view.count >= Self.headerLength + octets.count && message.id == id && Self.isAnswer(view)
            && view[view.startIndex + 4] == 0 && view[view.startIndex + 5] == 1
            && view.dropFirst(Self.headerLength).prefix(octets.count).elementsEqual(octets)
    }
}

extension ByteBuffer {
    /// A message's number, by which an answer finds its question.
    var id: UInt16? {
        get { getInteger(at: readerIndex) }
        set { if let newValue { setInteger(newValue, at: readerIndex) } }
    }

    /// An answer that says only that there is none: the header of the query, its question if that was read, and why.
    func refusal(_ question: Question?, code: UInt8) -> ByteBuffer {
        let flags = getInteger(at: readerIndex + 2, as: UInt8.self) ?? 0
        var answer = ByteBuffer()
        // An answer (QR) with the query's opcode and its wish for recursion, which is to be had (RA).
        answer.writeMultipleIntegers(id ?? 0, 0x80 | flags & 0x79, 0x80 | code)
        answer.writeMultipleIntegers(UInt16(question == nil ? 0 : 1), UInt16(0), UInt32(0))
        if let question { answer.writeBytes(question.octets) }
        return answer
    }
}

/// Codes of answers (RFC 1035 section 4.1.1).
enum ResponseCode { static let serverFailure: UInt8 = 2 }
