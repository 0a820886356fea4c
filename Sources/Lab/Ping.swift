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
