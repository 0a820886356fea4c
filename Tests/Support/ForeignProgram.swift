internal import CBPF
import Glibc
package import LinuxSystem

/// An eBPF program of somebody else's at an interface, ahead of clsact, that drops what it meets.
///
/// One that a link holds is there as long as this owner; one without, until it is detached or its interface ends.
package final class ForeignProgram: Sendable {
    package enum Place: Sendable, CaseIterable { case tcxIngress, tcxEgress, xdp, xdpByLink }

    private let owned: OwnedDescriptor

    /// At an interface of the network namespace that this thread is in.
    package init(at interface: String, _ place: Place) throws(KernelError) {
        let index = CInt(bitPattern: unsafe if_nametoindex(interface))
        let isXDP = place == .xdp || place == .xdpByLink
        let program = [
            bpf_insn(code: 0xb7, dst_reg: 0, src_reg: 0, off: 0, imm: isXDP ? 1 : 2),  // r0 = XDP_DROP or TCX_DROP
            bpf_insn(code: 0x95, dst_reg: 0, src_reg: 0, off: 0, imm: 0),  // exit
        ]
        let type = isXDP ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS
        let loaded = OwnedDescriptor(
            try check("BPF_PROG_LOAD", interface, unsafe bpf_prog_load(type, "foreign", "GPL", program, 2, nil)))
        var options = unsafe bpf_link_create_opts()
        unsafe options.sz = MemoryLayout<bpf_link_create_opts>.size
        let hook: bpf_attach_type
        switch place {
        case .tcxIngress: hook = bpf_attach_type(CBPF_TCX_INGRESS.rawValue)
        case .tcxEgress: hook = bpf_attach_type(CBPF_TCX_EGRESS.rawValue)
        case .xdpByLink:
            hook = BPF_XDP
            unsafe options.flags = Self.generic
        case .xdp:
            try check("RTM_SETLINK", interface, bpf_xdp_attach(index, loaded.raw, Self.generic, nil))
            owned = loaded
            return
        }
        owned = OwnedDescriptor(
            try check("BPF_LINK_CREATE", interface, unsafe bpf_link_create(loaded.raw, index, hook, &options)))
    }

    /// XDP_FLAGS_SKB_MODE, which every interface serves.
    private static let generic: UInt32 = 1 << 1
}
