// Writes of lease records: claims, free records, and the request for a planned handover.
extension Elector {
    /// Sends what is queued, as far as the bound on requests in flight allows.
    mutating func pump() {
        while readyHead < ready.count, leaseRequestsInFlight < Self.leaseRequestsInFlightMax {
            let position = ready[readyHead]
            readyHead += 1
            // Decided anew: since it was queued, windows may have ended and records changed.
            let slot = slots[position]
            switch move(for: slot) {
            case .claim(let seconds): sendClaim(position, seconds: seconds)
            case .free: sendFree(position)
            case .ask: sendAsk(position)
            case .read:
                begin(position)
                _ = send(.read(.lease(slots[position].namespace)), for: .leaseRead(slot: position))
            case .nothing, .wait, .confirm, .relist, .drop: consider(position)
            }
        }
    }

    private mutating func begin(_ position: Int) {
        slots[position].isBusy = true
        leaseRequestsInFlight += 1
    }

    private mutating func sendClaim(_ position: Int, seconds: Int) {
        // The same facts that decided, checked where the write is made.
        precondition(phase == .active && mayClaim(seconds))
        let slot = slots[position]
        let id = newAttempt()
        var record = LeaseRecord(
            holderIdentity: identity.cluster, uid: identity.uid, incarnation: identity.incarnation, claim: id,
            leaseDurationSeconds: seconds, term: firstTerm(after: slot.lastSeen?.term),
            acquireTime: Timestamp.format(microseconds: now.realtime / 1000), leaderTransitions: 0, write: id)
        if case .record(let before, _) = slot.known {
            // Rule "fencing": plus 1 with every claim.
            record.term = before.term + (Rule.termGrows.isKept ? 1 : 0)
            if before.holderIdentity == identity.cluster && before.incarnation != identity.incarnation,
                Rule.reclaimedStaysInherited.isKept
            {
                slots[position].inheritedSeconds = max(slot.inheritedSeconds ?? 0, before.leaseDurationSeconds)
            }
            let continues = before.holderIdentity == identity.cluster && before.uid == identity.uid
            if continues { record.acquireTime = before.acquireTime }
            record.leaderTransitions = before.leaderTransitions &+ (continues ? 0 : 1)
            record.preferredHolder = before.preferredHolder
            // The wish ends with the tenure that it was about: whoever asked, and let the lease go to another, asks again
            // if it still wants it. Kept, it would have every next holder give the lease back at once.
            record.wantedBy = continues && before.wantedBy != identity.cluster ? before.wantedBy : nil
        }
        // From sending it until a later write is acknowledged, the shortest duration sent counts.
        slots[position].shortestSent = min(slot.shortestSent ?? seconds, seconds)
        if let claim = slot.claim, Rule.shorterIsHonouredAtOnce.isKept {
            slots[position].claim?.honoured = min(claim.honoured, seconds)
        }
        hold(seconds)
        write(position, .claim, record)
    }

    /// The term of a record made from nothing: the Unix time, so that a deletion by somebody else does not bring a term
    /// back, or the one after the highest seen.
    private func firstTerm(after highest: UInt64?) -> UInt64 {
        guard Rule.termOutlivesDeletion.isKept else { return 1 }
        let time = UInt64(max(1, now.realtime / 1_000_000_000))
        guard let highest else { return time }
        return max(time, highest + 1)
    }

    private mutating func sendFree(_ position: Int) {
        guard case .record(var record, _) = slots[position].known else {
            preconditionFailure("only a record that was read is freed")
        }
        precondition(slots[position].claim == nil, "a claim that may be acted on is not freed")
        let id = newAttempt()
        record.holderIdentity = ""
        record.uid = ""
        record.incarnation = identity.incarnation
        record.claim = id
        record.write = id
        write(position, .free, record)
    }

    private mutating func sendAsk(_ position: Int) {
        guard case .record(var record, _) = slots[position].known else {
            preconditionFailure("only a record that was read is answered")
        }
        record.wantedBy = identity.cluster
        record.write = newAttempt()
        write(position, .ask, record)
    }

    private mutating func write(_ position: Int, _ kind: Slot.Attempt.Kind, _ record: LeaseRecord) {
        if slots[position].attempts.count == Slot.attemptsMax { slots[position].attempts.removeFirst() }
        slots[position].attempts.append(.init(kind: kind, record: record))
        begin(position)
        _ = send(
            .write(
                .lease(slots[position].namespace), body: record.encoded(), replacing: slots[position].known.version),
            for: .leaseWrite(slot: position, attempt: record.write))
    }

    mutating func takeLeaseWrite(_ answer: Answer, slot position: Int, attempt id: String) {
        leaseRequestsInFlight -= 1
        slots[position].isBusy = false
        slots[position].answeredStep = step
        switch answer {
        case .written(let version):
            guard let attempt = slots[position].attempts.first(where: { $0.record.write == id }) else {
                preconditionFailure("a write under way is among the attempts")
            }
            slots[position].retryAfter = nil
            // Others list the leases again when this number has grown.
            own.leaseSequence += 1
            know(position, .record(attempt.record, version))
            switch attempt.kind {
            case .claim: adopt(attempt, at: position, isAcknowledged: true)
            case .free:
                slots[position].shortestSent = nil
                output.notes.append(.gaveBack(namespace: slots[position].namespace))
            case .ask: break
            }
        case .unclear where !Rule.unclearIsNotFailed.isKept:
            slots[position].attempts.removeAll { $0.record.write == id }
            slots[position].retryAfter = now
        case .conflict, .unclear:
            if !Rule.unclearIsNotDone.isKept, case .unclear = answer,
                let attempt = slots[position].attempts.first(where: { $0.record.write == id }), attempt.kind == .claim
            {
                adopt(attempt, at: position, isAcknowledged: true)
            }
            // Rule "an unclear answer": read the record back; what it shows says which attempt landed.
            slots[position].mustRead = true
        case .failed:
            slots[position].attempts.removeAll { $0.record.write == id }
            slots[position].retryAfter = now
        case .object, .objects:
            preconditionFailure("a write was answered as a read")
        }
        consider(position)
    }

    /// A claim of this incarnation is in the record: it may be acted on if no window ended since it was sent.
    mutating func adopt(_ attempt: Slot.Attempt, at position: Int, isAcknowledged: Bool) {
        let record = attempt.record
        let seconds = record.leaseDurationSeconds
        // Until a later write is acknowledged, whatever a read-back shows, the shortest duration sent counts: an
        // unanswered write may still land.
        var honoured =
            isAcknowledged ? seconds : min(seconds, slots[position].shortestSent ?? seconds)
        if isAcknowledged { slots[position].shortestSent = nil }
        let replaced = slots[position].claim
        guard phase == .active, let wanted = slots[position].wanted, attempt.isUnbroken,
            windowIsOpen(ofSeconds: honoured)
        else {
            if replaced != nil { drop(position) }
            return
        }
        honoured = min(honoured, wanted)
        slots[position].shortened = nil
        if honoured < seconds {
            slots[position].shortened = .unpublished
            unpublished.append(position)
        }
        slots[position].claim = .init(id: record.claim, term: record.term, written: seconds, honoured: honoured)
        slots[position].granting = .running
        hold(honoured)
        touch(position)
        if replaced == nil {
            output.notes.append(.led(namespace: slots[position].namespace, term: record.term))
        }
    }
}
