internal import CLinux
internal import SystemPackage

/// Whether somebody could listen for streams at an address, found out by taking it and letting go at once.
package enum ListeningTrial {
    /// - Parameter address: without brackets.
    package static func take(_ address: String, port: UInt16) throws(KernelError) {
        try check("bind", "\(address) port \(port)", unsafe clinux_socket_try_bind(address, port))
    }
}
