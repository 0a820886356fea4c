internal import CNetlink

/// One rtnetlink request, composed attribute by attribute in libnl's message.
///
/// It carries the name of its call and of the thing it is about, so that a refusal can say both. What does not fit the
/// message (a page, four times what the largest request here needs) is remembered and refused when it is sent.
@safe struct NetlinkRequest: ~Copyable {
    let call: StaticString
    let subject: String
    let message: OpaquePointer
    private(set) var isTooLong = false

    /// `header` is the fixed structure that the message type begins with: `ifinfomsg`, `rtmsg` and their like.
    init<Header: BitwiseCopyable>(
        _ call: StaticString, _ type: Int, _ subject: String, flags: CInt = 0, _ header: Header
    ) {
        self.call = call
        self.subject = subject
        guard let message = unsafe nlmsg_alloc_simple(CInt(type), flags) else {
            preconditionFailure("no memory left for a netlink message")
        }
        unsafe self.message = unsafe message
        var header = header
        unsafe withUnsafeMutableBytes(of: &header) { octets in
            unsafe note(nlmsg_append(message, octets.baseAddress, octets.count, CInt(NLMSG_ALIGNTO)))
        }
    }

    deinit { unsafe nlmsg_free(message) }

    mutating func put(_ attribute: Int, _ value: UInt8) { unsafe note(nla_put_u8(message, CInt(attribute), value)) }

    mutating func put(_ attribute: Int, _ value: UInt32) { unsafe note(nla_put_u32(message, CInt(attribute), value)) }

    mutating func put(_ attribute: Int, _ text: String) { unsafe note(nla_put_string(message, CInt(attribute), text)) }

    mutating func put(_ attribute: Int, _ octets: [UInt8]) {
        unsafe note(nla_put(message, CInt(attribute), CInt(octets.count), octets))
    }

    /// Puts an attribute that holds the attributes which `fill` puts.
    mutating func nest(_ attribute: Int, _ fill: (inout NetlinkRequest) -> Void) {
        guard let start = unsafe nla_nest_start(message, CInt(attribute)) else {
            isTooLong = true
            return
        }
        fill(&self)
        unsafe note(nla_nest_end(message, start))
    }

    private mutating func note(_ answer: CInt) { if answer < 0 { isTooLong = true } }
}
