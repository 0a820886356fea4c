import CLinux
package import LinuxSystem
import PacketParse
import SystemPackage

/// A tun device of our own, with which the loop faces one edge.
///
/// It exists as long as its owner: a device that is not persistent goes with its last descriptor.
package struct Port: ~Copyable, Sendable {
    /// Kinds of super-packets that the kernel may give us whole. Scripts see the raw values: never renamed.
    package enum Offloads: String, Sendable {
        case all
        /// The kernel does not know UDP segmentation on a tun (before Linux 6.2) or refused it.
        case noUSO = "no_uso"
        case none

        fileprivate var bits: UInt32 {
            switch self {
            case .all: UInt32(CLINUX_TUN_OFFLOADS_ALL)
            case .noUSO: UInt32(CLINUX_TUN_OFFLOADS_TCP)
            case .none: UInt32(CLINUX_TUN_OFFLOADS_NONE)
            }
        }

        /// The next rung down.
        package var lower: Offloads? {
            switch self {
            case .all: .noUSO
            case .noUSO: Offloads.none
            case .none: nil
            }
        }
    }

    package let name: String
    package let descriptor: OwnedDescriptor
    package private(set) var offloads: Offloads

    /// Makes the device, with the best offloads that the kernel takes.
    ///
    /// - Throws: `EBUSY` where the name is in use, `ENOENT` without /dev/net/tun, `EPERM` without CAP_NET_ADMIN.
    package init(creating name: String) throws(KernelError) {
        let device = try Self.openDevice()
        // Programs that a dead node has left redirect to the index of its port. The kernel counts from one, so nobody else's
        // interface comes to have an index from here.
        try check("TUNSETIFINDEX", name, clinux_tun_set_index(device.raw, .random(in: 1 << 30...UInt32(Int32.max))))
        try check("TUNSETIFF", name, unsafe name.withCString { unsafe clinux_tun_create(device.raw, $0) })
        try check("TUNSETVNETHDRSZ", name, clinux_tun_set_header_size(device.raw, CInt(VirtioNetHeader.size)))
        var best: Offloads? = .all
        while let offer = best, clinux_tun_set_offloads(device.raw, offer.bits) == -Errno.invalidArgument.rawValue {
            best = offer.lower
        }
        self.name = name
        descriptor = device
        offloads = best ?? .none
    }

    /// Of which the kernel makes a port once it has a name.
    package static func openDevice() throws(KernelError) -> OwnedDescriptor {
        OwnedDescriptor(try check("open", "/dev/net/tun", clinux_tun_open_device()))
    }

    /// Takes over a descriptor that behaves like a tun: a socket pair in tests, or what somebody else opened for us.
    package init(adopting descriptor: consuming OwnedDescriptor, name: String, offloads: Offloads) {
        self.name = name
        self.descriptor = descriptor
        self.offloads = offloads
    }

    /// Stops the kernel from giving us super-packets above `rung`. A kernel that refuses this goes on as before, and each of
    /// them is cut in software.
    package mutating func degrade(to rung: Offloads) {
        guard offloads.bits & ~rung.bits != 0, clinux_tun_set_offloads(descriptor.raw, rung.bits) == 0 else { return }
        offloads = rung
    }
}

extension Side {
    package var portName: String { self == .inside ? "fwd-in" : "fwd-out" }
}
