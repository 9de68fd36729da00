internal import CCurl

/// The transfers under way, and what the engine does with them in each turn. Confined to the engine's thread.
struct Turn {
    private let multi: MultiHandle
    /// Keeps each transfer alive until its handle has been removed from `multi`.
    private var transfers: [ObjectIdentifier: Transfer] = [:]
    private var ended: [(call: Call, error: HTTPError?)] = []
    private var distrust = Distrust()

    /// Nothing depends on waking up this often.
    private static let waitMax: Duration = .seconds(3600)

    init(_ multi: MultiHandle) {
        self.multi = multi
    }

    mutating func start(_ calls: [Call]) {
        let now = ContinuousClock.now
        for call in calls {
            guard !call.takeOrders().isCancelled else {
                ended.append((call, HTTPError(call.request, isSent: false, reason: "it was cancelled")))
                continue
            }
            do throws(CurlError) {
                let transfer = try Transfer(call, now: now, age: distrust.age(call.request.url, now: now))
                try multi.add(transfer.easy)
                transfers[ObjectIdentifier(call)] = transfer
            } catch {
                let error = HTTPError(call.request, isSent: false, reason: error.text, advice: error.advice)
                ended.append((call, error))
            }
        }
    }

    mutating func carryOut(_ calls: [Call]) {
        for call in calls {
            let orders = call.takeOrders()
            // A call that has ended meanwhile has no transfer.
            guard let transfer = transfers[ObjectIdentifier(call)] else { continue }
            if orders.isCancelled {
                end(transfer, transfer.error("it was cancelled"))
            } else if orders.hasRoom {
                do throws(CurlError) { try transfer.resume() } catch { end(transfer, transfer.error(error.code)) }
            }
        }
    }

    mutating func endFinished() {
        while let (transfer, result) = multi.nextFinished() {
            let error = transfer.error(result)
            if error == nil { distrust.noteAnswer(transfer.call.request.url) }
            end(transfer, error)
        }
    }

    mutating func endOverdue() {
        let now = ContinuousClock.now
        for transfer in transfers.values where transfer.deadline.map({ $0 <= now }) ?? false {
            if transfer.isSent { distrust.noteTimeout(transfer.call.request.url, now: now) }
            end(transfer, transfer.timeoutError())
        }
    }

    private mutating func end(_ transfer: Transfer, _ error: HTTPError?) {
        multi.remove(transfer.easy)
        transfers[ObjectIdentifier(transfer.call)] = nil
        ended.append((transfer.call, error))
    }

    /// The calls that have ended since the last time.
    mutating func takeEnded() -> [(call: Call, error: HTTPError?)] {
        defer { ended = [] }
        return ended
    }

    func waitMilliseconds() -> Int32 {
        guard let next = transfers.values.compactMap(\.deadline).min() else {
            return Int32(Self.waitMax.wholeMilliseconds)
        }
        return Int32(min(next - .now, Self.waitMax).wholeMilliseconds)
    }
}
