internal import CLinux
internal import SystemPackage

/// Whether a firewall lets this host send, found out by sending: whoever made its rules, and in whatever way.
package enum FirewallTrial {
    /// Sends an empty datagram that the next router discards.
    ///
    /// - Parameter address: nobody's, e.g. of those kept for documentation (RFC 5737, RFC 3849).
    /// - Returns: true if it was refused. Where the host has no way to that address nothing can be told, nor refused.
    package static func isRefused(by interface: String, mark: UInt32, to address: String) throws(KernelError) -> Bool {
        let discard: UInt16 = 9
        do throws(KernelError) {
            try check("sendto", interface, unsafe clinux_socket_try(interface, mark, address, discard))
            return false
        } catch {
            switch error.errno {
            case .notPermitted: return true
            case .networkUnreachable, .noRouteToHost, .addressFamilyNotSupported, .addressNotAvailable, .networkDown:
                return false
            default: throw error
            }
        }
    }
}
