internal import CNetlink

/// One rtnetlink message as it arrived, copied out of the socket's buffer.
struct NetlinkReply {
    let type: CInt
    let sequence: UInt32
    /// Something changed while the kernel was listing: the list may miss or repeat an entry.
    let isInterrupted: Bool
    private let payload: [UInt8]

    init(copying header: borrowing nlmsghdr, payload: [UInt8]) {
        type = CInt(header.nlmsg_type)
        sequence = header.nlmsg_seq
        isInterrupted = CInt(header.nlmsg_flags) & NLM_F_DUMP_INTR != 0
        self.payload = payload
    }

    /// The fixed structure that the message begins with; nil when the message is shorter.
    func header<Header: BitwiseCopyable>(_: Header.Type = Header.self) -> Header? {
        guard payload.count >= MemoryLayout<Header>.size else { return nil }
        return unsafe payload.withUnsafeBytes { unsafe $0.loadUnaligned(as: Header.self) }
    }

    /// What follows the fixed structure. Only for structures whose size is a multiple of four, as all of ours are.
    func attributes<Header: BitwiseCopyable>(after _: Header.Type) -> NetlinkAttributes {
        NetlinkAttributes(octets: Array(payload.dropFirst(MemoryLayout<Header>.size)))
    }
}

/// A run of attributes, looked up by number.
struct NetlinkAttributes {
    let octets: [UInt8]

    func octets(_ attribute: Int) -> [UInt8]? {
        unsafe octets.withUnsafeBufferPointer { all -> [UInt8]? in
            let found = unsafe all.withMemoryRebound(to: nlattr.self) { attributes in
                unsafe nla_find(attributes.baseAddress, CInt(all.count), CInt(attribute))
            }
            guard let found = unsafe found else { return nil }
            return unsafe Array(UnsafeRawBufferPointer(start: nla_data(found), count: Int(nla_len(found))))
        }
    }

    func integer<Integer: FixedWidthInteger & BitwiseCopyable>(_ attribute: Int, _: Integer.Type = Integer.self)
        -> Integer?
    {
        guard let octets = octets(attribute), octets.count >= MemoryLayout<Integer>.size else { return nil }
        return unsafe octets.withUnsafeBytes { unsafe $0.loadUnaligned(as: Integer.self) }
    }

    func text(_ attribute: Int) -> String? {
        octets(attribute).map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// The texts of all attributes of this number, in their order: `text` answers the first.
    func texts(_ attribute: Int) -> [String] { each.compactMap { $0.text(attribute) } }

    func nested(_ attribute: Int) -> NetlinkAttributes? { octets(attribute).map(NetlinkAttributes.init(octets:)) }

    /// What all attributes of this number hold, in their order: `nested` answers the first.
    func allNested(_ attribute: Int) -> [NetlinkAttributes] { each.compactMap { $0.nested(attribute) } }

    /// Each attribute by itself.
    private var each: [NetlinkAttributes] {
        var rest = octets[...]
        var each: [NetlinkAttributes] = []
        while rest.count >= 4 {
            let length = Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8
            guard (4...rest.count).contains(length) else { break }
            each.append(NetlinkAttributes(octets: Array(rest.prefix(length))))
            // Each begins at a multiple of four.
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return each
    }
}
