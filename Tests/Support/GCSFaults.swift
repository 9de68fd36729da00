internal import Platform

/// One request as it reached the emulator, and what it got.
package struct GCSRequest: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        case getBucket
        /// An object's metadata.
        case get
        /// An object's body.
        case read
        case list
        case write
        case patch
        case delete
        /// What the emulator does not know.
        case other
    }

    package let kind: Kind
    package let bucket: String
    /// For a list, the prefix.
    package let object: String
    /// As ``GCSEmulator/url(for:)`` named it.
    package let client: String
    package let query: [String: String]
    package let headers: [String: String]
    package let time: ContinuousClock.Instant
    /// 0 as long as it is not answered, or when it never was.
    package var status = 0
}

/// What happens to matching requests.
struct GCSFault: Sendable {
    let id: Int
    let effect: GCSEmulator.Effect
    var remaining: Int?
    let matches: @Sendable (GCSRequest) -> Bool
}

extension GCSEmulator {
    package enum Effect: Sendable {
        /// Does nothing and closes the connection.
        case close
        /// Answers with this status; `acting`: after doing what was asked.
        case answer(Int, retryAfter: Int? = nil, acting: Bool = false)
        /// Does what was asked and closes the connection.
        case loseAnswer
        /// Does what was asked, sends half of the answer and closes the connection.
        case cutAnswer
        /// Does what was asked and answers 200 with bytes that are no JSON.
        case garbleAnswer
        /// Waits at the gate before doing what was asked.
        case hold(Gate)
        /// Does what was asked and waits at the gate before answering.
        case holdAnswer(Gate)
        /// Waits before doing what was asked.
        case delay(Duration)
        /// Does what was asked and waits before answering.
        case delayAnswer(Duration)
    }

    /// Lets `count` matching requests fail; nil: all of them, until ``removeFault(_:)``.
    ///
    /// - Returns: a number for ``removeFault(_:)``.
    @discardableResult package func inject(
        _ effect: Effect, count: Int? = 1, into matches: @escaping @Sendable (GCSRequest) -> Bool = { _ in true }
    ) -> Int {
        state.withLock { state in
            state.faultsEver += 1
            state.faults.append(GCSFault(id: state.faultsEver, effect: effect, remaining: count, matches: matches))
            return state.faultsEver
        }
    }

    package func removeFault(_ id: Int) {
        state.withLock { $0.faults.removeAll { $0.id == id } }
    }

    package func removeFaults() {
        state.withLock { $0.faults.removeAll() }
    }

    // MARK: - The log

    /// A place in the log, for ``requests(since:)``.
    package var mark: Int { state.withLock { $0.forgotten + $0.log.count } }

    /// The requests that were answered, or never will be, in that order.
    package func requests(since mark: Int = 0) -> [GCSRequest] {
        state.withLock { Array($0.log.dropFirst(max(0, mark - $0.forgotten))) }
    }

    package func counts(since mark: Int = 0, client: String? = nil) -> [GCSRequest.Kind: Int] {
        requests(since: mark).filter { client == nil || $0.client == client }
            .reduce(into: [:]) { $0[$1.kind, default: 0] += 1 }
    }

    /// The first matching request since `mark` that was answered, or never will be; waits for it when there is none yet.
    package func request(
        since mark: Int = 0, where matches: @escaping @Sendable (GCSRequest) -> Bool
    ) async -> GCSRequest {
        await withCheckedContinuation { continuation in
            let found: GCSRequest? = state.withLock { state in
                if let found = state.log.dropFirst(max(0, mark - state.forgotten)).first(where: matches) {
                    return found
                }
                state.waiters.append((matches, { continuation.resume(returning: $0) }))
                return nil
            }
            if let found { continuation.resume(returning: found) }
        }
    }
}
