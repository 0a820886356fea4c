internal import CBPF
import Glibc
package import LinuxSystem
import SystemPackage

/// The programs that mark connections at a cgroup (`bpf/control_plane.bpf.c`). The descriptors serve as long as the
/// `Steering` that gave them.
package struct ControlPlanePrograms: Sendable {
    fileprivate let option: CInt
    fileprivate let connect4: CInt
    fileprivate let connect6: CInt

    /// Has them meet the sockets of all processes that are in the cgroup or in one below it, beside what others attached
    /// there. Sockets that are connected already keep their marks. Needs CAP_BPF and CAP_NET_ADMIN.
    ///
    /// - Parameter directory: the cgroup's.
    package func attach(to directory: String) throws(KernelError) -> CgroupLinks {
        let opened = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard opened >= 0 else { throw KernelError("open", Errno(rawValue: errno), directory) }
        let cgroup = OwnedDescriptor(opened)
        func link(_ program: CInt, _ hook: bpf_attach_type) throws(KernelError) -> OwnedDescriptor {
            OwnedDescriptor(
                try check("BPF_LINK_CREATE", directory, bpf_link_create(program, cgroup.raw, hook, nil)))
        }
        return CgroupLinks(
            connect4: try link(connect4, BPF_CGROUP_INET4_CONNECT),
            connect6: try link(connect6, BPF_CGROUP_INET6_CONNECT), option: try link(option, BPF_CGROUP_SETSOCKOPT))
    }
}

/// Programs at a cgroup, as long as this owner: they go when it lets go, when its process ends, by whatever signal, and
/// when the cgroup is removed. So nothing of ours is ever left in what belongs to somebody else.
package struct CgroupLinks: ~Copyable, Sendable {
    private let connect4, connect6, option: OwnedDescriptor

    fileprivate init(
        connect4: consuming OwnedDescriptor, connect6: consuming OwnedDescriptor, option: consuming OwnedDescriptor
    ) {
        self.connect4 = connect4
        self.connect6 = connect6
        self.option = option
    }
}

extension Steering {
    package var controlPlane: ControlPlanePrograms {
        let programs = unsafe skeleton.pointee.progs
        return unsafe ControlPlanePrograms(
            option: bpf_program__fd(programs.control_plane_option),
            connect4: bpf_program__fd(programs.control_plane_connect4),
            connect6: bpf_program__fd(programs.control_plane_connect6))
    }
}
