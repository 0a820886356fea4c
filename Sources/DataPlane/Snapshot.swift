/// The loop's state at one moment.
package struct Snapshot: Sendable {
    package let statistics: Statistics
    package let flowsLive: Int
    /// Flows that ended with the exit address by which they left.
    package let flowsFlushed: UInt64
    /// What flows were like that ended in any way.
    package let endedFlows: EndedFlows
    /// Later fragments that wait for their first one: neither forwarded nor dropped yet.
    package let fragmentsHeld: Int
    package let flowsCapacity: Int
    package let bindingsInUse: Int
    package let offloads: (inside: Port.Offloads, outside: Port.Offloads)
    package let queues: (egress: Queue, ingress: Queue)
    /// The second that flows' times are counted in.
    package let seconds: UInt32

    /// What a limit holds up in one direction. Times are nanoseconds, of packets that left of late.
    package struct Queue: Sendable {
        package let packets: Int
        /// Of IP on the wire.
        package let bytes: Int
        /// Packets that were marked to tell of congestion, ever.
        package let marked: UInt64
        package let meanDelay: UInt64
        package let longestDelay: UInt64

        init(_ queue: borrowing FairQueue, now: UInt64) {
            packets = queue.count
            bytes = queue.backlog
            marked = queue.marked
            meanDelay = queue.delay.mean(now: now)
            longestDelay = queue.delay.longest(now: now)
        }
    }
}
