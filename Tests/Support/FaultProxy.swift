private import CLinux
private import Dispatch
private import Glibc
internal import Platform

/// Passes on the bytes of TCP connections to a server on 127.0.0.1, and makes the way there as bad as is wanted.
///
/// What is held up is not lost: it goes on when the way is free again, also when its sender has given up meanwhile, so
/// that a request may reach the server long after its time-out. Any thread may call it.
package final class FaultProxy: Sendable {
    /// What happens to the bytes of one direction.
    package struct Passage: Hashable, Sendable {
        /// Nothing gets through and nothing is refused.
        package var isBlocked = false
        /// Of every piece.
        package var delay = Duration.zero
        /// At most; nil: as fast as can be.
        package var bytesPerSecond: Int?
        /// Of pieces that come late, as those that TCP had to send again.
        package var lossPercent = 0.0
        /// Of pieces that never come, and neither does anything after them: the connection is reset.
        package var resetPercent = 0.0

        package init() {}

        package static let blocked: Passage = {
            var passage = Passage()
            passage.isBlocked = true
            return passage
        }()
    }

    private struct State {
        var requests = Passage()
        var answers = Passage()
        var relays: [Int: Relay] = [:]
        var relaysEver = 0
        var random: SeededRandom
        var isStopped = false
    }

    package let port: UInt16
    private let listener: Int32
    private let target: UInt16
    private let state: Locked<State>
    private let threads = DispatchGroup()

    /// - Parameters:
    ///   - target: the server's port.
    ///   - seed: decides which pieces are lost.
    package init(to target: UInt16, seed: UInt64) throws {
        (listener, port) = try LoopbackSocket.listen(port: 0)
        self.target = target
        state = Locked(State(random: SeededRandom(seed: seed)))
        threads.enter()
        ServerThread.start { [listener, target, state, threads] in
            Self.accept(listener, target, state, threads)
            close(listener)
            threads.leave()
        }
    }

    deinit {
        state.withLock { state in
            state.isStopped = true
            for relay in state.relays.values { relay.end() }
        }
        threads.wait()
    }

    package var requests: Passage {
        get { state.withLock { $0.requests } }
        set { state.withLock { $0.requests = newValue } }
    }

    package var answers: Passage {
        get { state.withLock { $0.answers } }
        set { state.withLock { $0.answers = newValue } }
    }

    /// Opens both directions.
    package func heal() {
        state.withLock { state in
            state.requests = Passage()
            state.answers = Passage()
        }
    }

    /// Ends every connection that is open now, in the middle of whatever it carries.
    package func resetConnections() {
        state.withLock { state in
            for relay in state.relays.values { relay.reset() }
        }
    }

    // MARK: - Threads

    /// Between two looks at whether a way is free again.
    private static let pause = Duration.milliseconds(10)

    private static func accept(_ listener: Int32, _ target: UInt16, _ state: Locked<State>, _ threads: DispatchGroup) {
        while !state.withLock({ $0.isStopped }) {
            var watched = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&watched, 1, 20)
            let near = accept4(listener, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
            guard near >= 0 else { continue }
            guard let far = LoopbackSocket.connect(to: target) else {
                // As the server itself would refuse.
                close(near)
                continue
            }
            for descriptor in [near, far] { LoopbackSocket.sendAtOnce(descriptor) }
            let relay = Relay(near: near, far: far)
            let id = state.withLock { state in
                state.relaysEver += 1
                state.relays[state.relaysEver] = relay
                return state.relaysEver
            }
            let directions = DispatchGroup()
            for isRequest in [true, false] {
                threads.enter()
                directions.enter()
                ServerThread.start {
                    pass(isRequest ? (near, far) : (far, near), of: relay, isRequest: isRequest, state)
                    directions.leave()
                    threads.leave()
                }
            }
            threads.enter()
            directions.notify(queue: .global()) {
                state.withLock { $0.relays[id] = nil }
                relay.close()
                threads.leave()
            }
        }
    }

    private static func pass(
        _ ends: (from: Int32, to: Int32), of relay: Relay, isRequest: Bool, _ state: Locked<State>
    ) {
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = unsafe recv(ends.from, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard waitForWay(isRequest: isRequest, bytes: max(count, 0), relay, state) else { return }
            guard count > 0 else {
                // The end passes on like everything else; the other direction goes on by itself.
                shutdown(ends.to, Int32(SHUT_WR))
                return
            }
            guard LoopbackSocket.send(buffer[..<count], to: ends.to) else {
                // Who does not listen any more is no reason to lose what comes from there.
                shutdown(ends.from, Int32(SHUT_RD))
                return
            }
        }
    }

    /// - Returns: whether the piece may go on; no: the connection is over.
    private static func waitForWay(isRequest: Bool, bytes: Int, _ relay: Relay, _ state: Locked<State>) -> Bool {
        let start = ContinuousClock.now
        var retransmission: Duration?
        while true {
            let wait: Duration? = state.withLock { state in
                let passage = isRequest ? state.requests : state.answers
                if state.isStopped || relay.isOver { return nil }
                if passage.isBlocked { return pause }
                if retransmission == nil {
                    if bytes > 0, state.random.chance(passage.resetPercent) {
                        relay.reset()
                        return nil
                    }
                    // TCP's first waits before it sends again: 200 ms, and twice as long each time (RFC 6298; Linux's least).
                    let times = state.random.chance(passage.lossPercent) ? 1 + state.random.below(4) : 0
                    retransmission = .milliseconds(times == 0 ? 0 : 200 * ((1 << times) - 1))
                }
                var due = passage.delay + (retransmission ?? .zero)
                if let rate = passage.bytesPerSecond { due += .seconds(bytes) / rate }
                return min(pause, max(.zero, start + due - .now))
            }
            guard let wait else { return false }
            if wait == .zero { return true }
            usleep(UInt32(max(1, wait / .microseconds(1))))
        }
    }
}

/// One connection and the one that goes on from it.
private final class Relay: Sendable {
    private enum Condition {
        case open
        case over
        case closed
    }

    private let near: Int32
    private let far: Int32
    private let condition = Locked(Condition.open)

    init(near: Int32, far: Int32) {
        (self.near, self.far) = (near, far)
    }

    var isOver: Bool { condition.withLock { $0 != .open } }

    /// Wakes whoever reads or writes.
    func end() {
        condition.withLock { condition in
            guard condition != .closed else { return }
            condition = .over
            for descriptor in [near, far] { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    /// As ``end()``, and the client sees a reset rather than an end.
    func reset() {
        condition.withLock { condition in
            guard condition == .open else { return }
            // With bytes thrown away rather than sent before the end (socket(7), SO_LINGER).
            for descriptor in [near, far] { LoopbackSocket.resetAtEnd(descriptor) }
            condition = .over
            for descriptor in [near, far] { shutdown(descriptor, Int32(SHUT_RD)) }
        }
    }

    /// Called once no thread uses the descriptors any more.
    func close() {
        condition.withLock { condition in
            guard condition != .closed else { return }
            condition = .closed
            for descriptor in [near, far] { Glibc.close(descriptor) }
        }
    }
}
