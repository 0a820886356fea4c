internal import LinuxSystem

extension LabHost {
    /// Sends a datagram to each port of an address, from a socket of its own: as many flows.
    package func sendDatagrams(to address: String, ports: ClosedRange<UInt16>) throws(LabFailure) {
        try toward("send datagrams to \(address)") { () throws(KernelError) in
            try namespace.run { () throws(KernelError) in
                for port in ports {
                    let socket = try Socket.connect(.datagram, to: address, port: port, waiting: false)
                    try socket.send([0x66])
                }
            }
        }
    }
}
