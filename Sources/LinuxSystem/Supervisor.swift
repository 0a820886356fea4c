internal import Glibc

/// What started this process and follows it: systemd, or who speaks its notify protocol (sd_notify(3)), without its library.
///
/// Each notice is one datagram. One that nobody takes is lost, and holds us for a second at most.
package final class Supervisor: Sendable {
    private let socket: OwnedDescriptor
    /// As the kernel takes it: a name that no file has begins with a NUL.
    private let address: String
    /// How long it waits for a sign of life before it kills us; nil where it does not wait for any.
    package let patience: Duration?

    /// Nil where the environment names nobody who wants to be told, or nobody who can be.
    package init?(_ environment: [String: String]) {
        guard let place = environment["NOTIFY_SOCKET"], place.hasPrefix("/") || place.hasPrefix("@"),
            let socket = try? UnixSocket.datagram()
        else { return nil }
        self.socket = socket
        address = place.hasPrefix("@") ? "\0" + place.dropFirst() : place
        let isForUs = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
        let microseconds = isForUs ? environment["WATCHDOG_USEC"].flatMap(Int64.init) : nil
        patience = microseconds.flatMap { $0 > 0 ? .microseconds($0) : nil }
    }

    /// Everything needed stands, here or again, and what it stands for in one line.
    package func tellReady(_ status: String) { tell("READY=1\nSTATUS=\(status)") }

    package func tell(status: String) { tell("STATUS=\(status)") }

    /// Settings are being read again; `tellReady` ends that. It is to be told the moment, for it may have asked more than once.
    package func tellReloading() {
        tell("RELOADING=1\nMONOTONIC_USEC=\(MonotonicClock().nanoseconds / 1000)")
    }

    package func tellStopping() { tell("STOPPING=1") }

    /// A sign of life.
    package func tellAlive() { tell("WATCHDOG=1") }

    private func tell(_ notice: String) { try? UnixSocket.send(socket, Array(notice.utf8), to: address) }
}
