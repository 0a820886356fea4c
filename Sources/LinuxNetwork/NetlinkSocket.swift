internal import CNetlink
import Glibc
internal import LinuxSystem
internal import SystemPackage

/// libnl's socket: sends a request, gathers what answers it.
@safe struct NetlinkSocket: ~Copyable {
    /// What the kernel is asked about (netlink(7)).
    enum Family: CustomStringConvertible {
        case route, netfilter, generic

        var number: CInt {
            switch self {
            case .route: NETLINK_ROUTE
            case .netfilter: NETLINK_NETFILTER
            case .generic: NETLINK_GENERIC
            }
        }

        var description: String {
            switch self {
            case .route: "NETLINK_ROUTE"
            case .netfilter: "NETLINK_NETFILTER"
            case .generic: "NETLINK_GENERIC"
            }
        }
    }

    private let socket: OpaquePointer

    /// Opened in the network namespace of the calling thread, where it stays wherever the thread goes.
    init(_ family: Family = .route) throws(KernelError) {
        guard let socket = unsafe nl_socket_alloc() else { throw KernelError("socket", .noMemory, "\(family)") }
        let answer = unsafe cnetlink_connect(socket, family.number)
        if answer < 0 { unsafe nl_socket_free(socket) }
        try check("socket", "\(family)", answer)
        unsafe self.socket = unsafe socket
    }

    deinit { unsafe nl_socket_free(socket) }

    var descriptor: CInt { unsafe nl_socket_get_fd(socket) }

    /// From here on the socket also receives what the kernel announces to `groups`, and no read of it blocks.
    func watch(_ groups: [rtnetlink_groups]) throws(KernelError) {
        try check("O_NONBLOCK", "NETLINK_ROUTE", unsafe nl_socket_set_nonblocking(socket) < 0 ? -EIO : 0)
        for group in groups {
            let answer = unsafe nl_socket_add_membership(socket, CInt(group.rawValue))
            try check("NETLINK_ADD_MEMBERSHIP", "NETLINK_ROUTE", answer < 0 ? cnetlink_failure() : 0)
        }
    }

    /// Sends `request` and waits until the kernel has carried it out, or listed all it was asked for.
    ///
    /// A list that changed under the kernel's hands is asked for again; after eight such, EINTR.
    @discardableResult
    func exchange(_ request: consuming NetlinkRequest) throws(KernelError) -> [NetlinkReply] {
        guard !request.isTooLong else { throw KernelError(request.call, .messageTooLong, request.subject) }
        for _ in 0..<8 {
            let (replies, isInterrupted) = try attempt(request)
            if !isInterrupted { return replies }
        }
        throw KernelError(request.call, .interrupted, request.subject)
    }

    private func attempt(
        _ request: borrowing NetlinkRequest
    ) throws(KernelError) -> (replies: [NetlinkReply], isInterrupted: Bool) {
        let header = unsafe nlmsg_hdr(request.message)
        unsafe header?.pointee.nlmsg_seq = CUnsignedInt(NL_AUTO_SEQ)
        try check(request.call, request.subject, unsafe cnetlink_send(socket, request.message))
        let sequence = unsafe header?.pointee.nlmsg_seq
        var answers: [NetlinkReply] = []
        var isInterrupted = false
        while true {
            // A reply to an earlier request, one that was given up half-way, is passed over.
            for reply in try receive(request.call, request.subject) where reply.sequence == sequence {
                isInterrupted = isInterrupted || reply.isInterrupted
                switch reply.type {
                case NLMSG_DONE:
                    // A list that the kernel could not finish ends with why.
                    try check(request.call, request.subject, reply.header(CInt.self) ?? 0)
                    return (answers, isInterrupted)
                case NLMSG_ERROR:
                    try check(request.call, request.subject, reply.header(nlmsgerr.self)?.error ?? -EBADMSG)
                    return (answers, isInterrupted)
                default:
                    answers.append(reply)
                }
            }
        }
    }

    /// The messages of one datagram. EAGAIN when there is none and the socket does not block.
    func receive(_ call: StaticString, _ subject: String) throws(KernelError) -> [NetlinkReply] {
        var buffer: UnsafeMutablePointer<UInt8>?
        var remaining = try check(call, subject, unsafe cnetlink_receive(socket, &buffer))
        defer { unsafe free(buffer) }
        var replies: [NetlinkReply] = []
        var next = unsafe UnsafeMutableRawPointer(buffer)?.assumingMemoryBound(to: nlmsghdr.self)
        while let header = unsafe next, unsafe nlmsg_ok(header, remaining) != 0 {
            let payload = unsafe UnsafeRawBufferPointer(start: nlmsg_data(header), count: Int(nlmsg_datalen(header)))
            unsafe replies.append(NetlinkReply(copying: header.pointee, payload: Array(payload)))
            unsafe next = nlmsg_next(header, &remaining)
        }
        return replies
    }
}
