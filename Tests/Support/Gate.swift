private import Dispatch
internal import Platform

/// Where requests wait until a test opens it. Any thread may call it.
package final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var arrivals = 0
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
        var waiters: [@Sendable () -> Void] = []
    }

    private let state = Locked(State())

    package init() {}

    /// Lets those that wait go on, and all that come.
    package func open() {
        let waiters = state.withLock { state in
            state.isOpen = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter() }
    }

    package func close() { state.withLock { $0.isOpen = false } }

    /// Waits until `count` have come to the gate, ever.
    package func reached(by count: Int = 1) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.arrivals >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    /// Waits until the gate is open.
    package func wait() async {
        await withCheckedContinuation { continuation in
            arrive { continuation.resume() }
        }
    }

    /// Blocks the thread until the gate opens or `isStopped` says yes.
    func pass(isStopped: () -> Bool) {
        let passed = DispatchSemaphore(value: 0)
        arrive { passed.signal() }
        while passed.wait(timeout: .now() + .milliseconds(10)) == .timedOut, !isStopped() {}
    }

    private func arrive(_ goOn: @escaping @Sendable () -> Void) {
        let (watchers, isOpen) = state.withLock { state in
            state.arrivals += 1
            let ready = state.watchers.filter { $0.count <= state.arrivals }
            state.watchers.removeAll { $0.count <= state.arrivals }
            if !state.isOpen { state.waiters.append(goOn) }
            return (ready, state.isOpen)
        }
        for watcher in watchers { watcher.continuation.resume() }
        if isOpen { goOn() }
    }
}
