import NIOCore
import TestSupport
import Testing

@testable import SplitDNS

struct QuestionTests {
    /// A parser as one would write it who has all the time: from the RFC's sentences, one index at a time.
    private func naively(_ message: [UInt8]) -> (name: [UInt8], octets: [UInt8])? {
        guard message.count >= 12, message[2] & 0x80 == 0, message[2] & 0x78 == 0 else { return nil }
        guard Int(message[4]) * 256 + Int(message[5]) == 1 else { return nil }
        var at = 12
        var name: [UInt8] = []
        while true {
            if at >= message.count { return nil }
            let length = Int(message[at])
            if length > 63 { return nil }
            name.append(message[at])
            at += 1
            if length == 0 { break }
            for _ in 0..<length {
                if at >= message.count { return nil }
                let octet = message[at]
                name.append(octet >= 65 && octet <= 90 ? octet + 32 : octet)
                at += 1
            }
        }
        if name.count > 255 || at + 4 > message.count { return nil }
        return (name, Array(message[12..<at + 4]))
    }

    private func expectAgreement(_ message: [UInt8], _ comment: String) -> Bool {
        let told = try? Question(of: ByteBuffer(message))
        let oracle = naively(message)
        // An expectation that is met takes a hundred times as long as both readers.
        if told?.name.octets != oracle?.name || told?.octets != oracle?.octets {
            Issue.record("\(comment) \(message): \(String(describing: told)), \(String(describing: oracle))")
        }
        return told != nil
    }

    @Test("hostile messages are read as a naive reader reads them, and none ends the reader")
    func fuzzed() {
        var random = RandomNumbers(seed: 51)
        var (taken, refused) = (0, 0)
        func count(_ isTaken: Bool) { if isTaken { taken += 1 } else { refused += 1 } }
        for round in 0..<40_000 {
            var message = query("WwW.eXample.Org", type: random.next()).octets
            switch round % 5 {
            case 0: message = random.octets(Int.random(in: 0..<64, using: &random))
            case 1: message.removeLast(Int.random(in: 0...message.count, using: &random))
            case 2:
                for _ in 0..<3 { message[Int.random(in: 0..<message.count, using: &random)] = random.next() }
            case 3:
                // A name of random labels, often of more than 255 octets, and sometimes one of more than 63.
                message.removeLast(message.count - 12)
                for _ in 0..<Int.random(in: 1..<12, using: &random) {
                    let length = Int.random(in: 1...66, using: &random)
                    message += [UInt8(length)] + random.octets(length)
                }
                message += [0, 0, 1, 0, 1]
            default:
                message.insert(contentsOf: random.octets(2), at: Int.random(in: 0..<message.count, using: &random))
            }
            count(expectAgreement(message, "round \(round)"))
        }
        #expect(taken > 1_000 && refused > 1_000, "\(taken) taken, \(refused) refused")
    }

    @Test("a name of 255 octets is the longest, a label of 63 the longest")
    func limits() {
        func name(_ labels: [Int]) -> String { labels.map { String(repeating: "a", count: $0) }.joined(separator: ".") }
        #expect((try? Question(of: query(name([63, 63, 63, 61])))) != nil)
        #expect((try? Question(of: query(name([63, 63, 63, 62])))) == nil)
        #expect((try? Question(of: query(name([64])))) == nil)
    }

    @Test("what is no question is told apart: an answer, another opcode, a pointer, two questions")
    func flaws() {
        func flaw(_ message: ByteBuffer) -> Question.Flaw? {
            do throws(Question.Flaw) { _ = try Question(of: message) } catch { return error }
            return nil
        }
        #expect(flaw(query("a.example")) == nil)
        #expect(flaw(query("a.example", flags: 0x8100)) == .unanswerable)
        #expect(flaw(ByteBuffer([1, 2, 3])) == .unanswerable)
        #expect(flaw(query("a.example", flags: 0x2800)) == .notImplemented)
        #expect(flaw(query("a.example", questions: 2)) == .formatError)
        var pointer = query("a.example")
        pointer.setInteger(UInt8(0xC0), at: 12)
        #expect(flaw(pointer) == .formatError)
    }

    @Test("an answer is one only with the number, the question to the octet, and as an answer")
    func matching() throws {
        let asked = query("Www.Example.org")
        let question = try Question(of: asked)
        func isAnswered(_ change: (inout ByteBuffer) -> Void) -> Bool {
            var answer = asked
            answer.setInteger(UInt8(0x81), at: 2)
            change(&answer)
            return question.isAnswered(by: answer, id: 0x1234)
        }
        #expect(isAnswered { _ in })
        #expect(!isAnswered { $0.id = 0x1235 })
        #expect(!isAnswered { $0.setInteger(UInt8(0x01), at: 2) }, "a question")
        #expect(!isAnswered { $0.setInteger(UInt8(ascii: "w"), at: 13) }, "in other letters")
        #expect(!isAnswered { $0.setInteger(UInt16(28), at: 12 + 17) }, "of another type")
        #expect(!isAnswered { $0.setInteger(UInt16(0), at: 4) }, "without a question")
        #expect(!isAnswered { $0 = $0.getSlice(at: 0, length: 20) ?? $0 }, "cut off")
    }
}
