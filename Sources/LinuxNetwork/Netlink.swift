package import LinuxSystem

/// The kernel's network configuration, asked and changed over one rtnetlink socket.
///
/// It belongs to the network namespace in which its thread opened it. Reading needs no capability, changing needs
/// CAP_NET_ADMIN in that namespace. What it knows about each kind of thing stands in that thing's file.
package struct Netlink: ~Copyable {
    let socket: NetlinkSocket

    package init() throws(KernelError) { socket = try NetlinkSocket() }
}
