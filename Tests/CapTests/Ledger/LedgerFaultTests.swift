import SystemPackage
import TestSupport
import Testing

@testable import Cap

/// One life of a ledger, again and again, each time with the next of its system calls refused or its last.
struct LedgerFaultTests {
    enum Fault: CaseIterable, Sendable {
        case refused, full, readOnly, cutShort
        /// Before the call, and within it: of a write a part is there.
        case killed, killedWithin
    }

    /// What the fault is followed by: at once, or once the life has gone on to its end.
    enum Aftermath: CaseIterable, Sendable { case killed, powerCut, killedLater, powerCutLater }

    /// Each with other traffic, and other torn writes.
    private static let lives: UInt64 = isSoak ? 5 : 1

    @Test(arguments: Fault.allCases, Aftermath.allCases)
    func `one fault at any system call costs at most the reserve`(fault: Fault, aftermath: Aftermath) throws {
        // What is not an error or a death alone, and looked at once, comes at every fourth call, for time.
        let isPlain = [.refused, .killed].contains(fault) && [.killed, .powerCut].contains(aftermath)
        let step = isSoak || isPlain ? 1 : 4
        for seed in 0..<Self.lives {
            var number = 0
            while true {
                number += step
                let world = try World(seed: seed << 32 | UInt64(number))
                let isReached = Self.live(in: world, with: fault, at: number, aftermath)
                let first = world.wrong.first
                try #require(first == nil, "call \(number), seed \(seed)")
                if !isReached { break }
            }
            // What a life takes at least: creation, writes, a person's word between, a second opening.
            try #require(number > 40)
        }
    }

    /// Answers whether the life was so long that the fault came.
    private static func live(in world: World, with fault: Fault, at number: Int, _ aftermath: Aftermath) -> Bool {
        var isReached = false
        world.deathAt = fault == .killed ? number : fault == .killedWithin ? number + 1 : .max
        world.fault = { [unowned world] call in
            guard world.calls == number else { return .none }
            isReached = true
            let isWrite = "\(call)" == "pwrite"
            return switch fault {
            case .refused: .refuse(.ioError)
            case .full: .refuse(.noSpace)
            case .readOnly: .refuse(.readOnlyFileSystem)
            case .cutShort: isWrite ? .shorten(to: 200) : .refuse(.ioError)
            case .killed: .none
            case .killedWithin: isWrite ? .shorten(to: .random(in: 0...4096, using: &world.random)) : .none
            }
        }
        let isLater = aftermath == .killedLater || aftermath == .powerCutLater
        course(of: world) { isLater || world.calls < number }
        isReached = isReached || world.calls >= number
        world.fault = { _ in .none }
        world.deathAt = .max
        for _ in 0..<2 {
            switch aftermath {
            case .killed, .killedLater: world.kill()
            case .powerCut, .powerCutLater: world.cutPower()
            }
            world.start()
            guard world.isRunning else {
                world.complain("it does not start again")
                break
            }
            world.pass(upTo: world.allowance)
            world.record()
        }
        return isReached
    }

    /// Created, written a few times, closed, amended, opened, written.
    ///
    /// - Parameter goesOn: asked before each step.
    private static func course(of world: World, while goesOn: () -> Bool) {
        var isGranted = false
        for life in 0..<2 {
            // Who is refused a start tries again.
            for _ in 0..<2 where goesOn() { world.start() }
            if isGranted, let account = world.keeper?.ledger.account, account.granted < 7 {
                world.complain("granted 7, known \(account.granted)")
            }
            for _ in 0..<4 where goesOn() {
                world.pass(upTo: world.allowance)
                world.elapse(11_000_000_000)
                world.record()
            }
            guard goesOn() else { return }
            world.elapse(1_000_000_000_000)
            world.record()
            guard goesOn() else { return }
            _ = world.grant(5)
            world.pass(upTo: world.allowance)
            guard goesOn(), life == 0 else { continue }
            world.close()
            if goesOn() { isGranted = world.amend(7) }
        }
    }
}
