internal import LinuxSystem

extension LabHost {
    /// Sends ICMP echo requests until so many have come back, and answers how many did; fewer only when the time is over.
    ///
    /// - Parameters:
    ///   - size: octets behind the ICMP header; above the MTU the request travels in fragments.
    ///   - seconds: how long to go on asking until so many answers have come.
    package func ping(
        _ address: String, count: Int = 3, size: Int = 56, upTo seconds: Int = 5
    ) throws(LabFailure) -> Int {
        let child = try start([
            "ping", "-n", "-c", "\(count)", "-i", "0.1", "-w", "\(seconds)", "-s", "\(size)", address,
        ])
        guard child.wait(upTo: .seconds(seconds + 5)) != nil else {
            throw LabFailure(couldNot: "ping \(address) from \(name)", because: "no end after its deadline")
        }
        // "3 packets transmitted, 3 received, 0% packet loss, time 204ms"
        let words = child.standardOutput.split(whereSeparator: { $0 == " " || $0 == "," || $0 == "\n" })
        guard let received = words.firstIndex(of: "received"), let answers = Int(words[received - 1]) else {
            throw LabFailure(
                couldNot: "ping \(address) from \(name)", because: child.standardError + child.standardOutput)
        }
        // While the first is late it goes on asking, and what is answered then counts, too.
        return min(answers, count)
    }
}

/// Echo requests in a row, each with the time its answer took.
package struct PingSeries: Sendable {
    private let child: ChildProcess
    private let about: String
    private let patience: Duration

    /// Begins.
    ///
    /// - Parameters:
    ///   - interval: seconds from one request to the next.
    ///   - source: the address that asks.
    package init(
        on host: LabHost, to address: String, from source: String, count: Int, every interval: Double
    ) throws(LabFailure) {
        child = try host.start(["ping", "-n", "-c", "\(count)", "-i", "\(interval)", "-I", source, address])
        about = "ping \(address) from \(host.name)"
        patience = .seconds(Double(count) * interval + 15)
    }

    /// Waits for the end: milliseconds, without those that were not answered.
    package func roundTrips() throws(LabFailure) -> [Double] {
        guard child.wait(upTo: patience) != nil else {
            throw LabFailure(couldNot: about, because: "no end after its deadline")
        }
        // "64 bytes from 203.0.113.10: icmp_seq=1 ttl=63 time=0.211 ms"
        let words = child.standardOutput.split { $0 == " " || $0 == "\n" }
        return words.filter { $0.hasPrefix("time=") }.compactMap { Double($0.dropFirst(5)) }
    }
}
