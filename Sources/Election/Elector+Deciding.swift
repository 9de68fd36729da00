// What to do about each lease: the rules of the holder, the taker, giving back and the planned handover.
extension Elector {
    /// The next thing to do about one lease.
    enum Move: Hashable, Sendable {
        case nothing
        /// Nothing before this much time has passed.
        case wait(Duration)
        /// Read the lease record.
        case read
        /// Read a member record (the own one by its own way) in a request sent from now on.
        case confirm(member: String)
        /// This member has been silent for long enough: list the leases.
        case relist(member: Int)
        case claim(seconds: Int)
        case free
        /// Set `wantedBy` to this cluster.
        case ask
        /// Stop acting on the claim.
        case drop(to: String?)
    }

    // MARK: Wishes

    mutating func take(_ wish: Wish) {
        if slotPosition(wish.namespace) == nil, wish.aim == .forget || !RecordName.isValid(wish.namespace) { return }
        let position = slotPositionAdding(wish.namespace)
        if slots[position].isAlready(wish.aim) { return }
        planIsDue = true
        touch(position)
        slots[position].isLeftOut = wish.aim == .leaveOut
        // Whether there is a record, and whose, only an answer sent for from now on tells.
        if slots[position].known == .unread { leasesList.isWanted = true }
        guard case .lead(let seconds) = wish.aim else {
            slots[position].wanted = nil
            return
        }
        if let reason = timing.refusal(ofSeconds: seconds) {
            slots[position].wanted = nil
            output.notes.append(.refused(namespace: wish.namespace, reason: reason))
            return
        }
        slots[position].wanted = seconds
        if let claim = slots[position].claim, seconds < claim.honoured {
            // Rule "a changed lease duration": a shorter one is honoured at once, and written later.
            if Rule.shorterIsHonouredAtOnce.isKept { slots[position].claim?.honoured = seconds }
            slots[position].shortened = .unpublished
            unpublished.append(position)
            hold(seconds)
        }
    }

    /// The lease duration to compete with now; nil: not wanted.
    private func aim(of slot: Slot) -> Int? { phase == .active ? slot.wanted : nil }

    // MARK: The decision

    func move(for slot: Slot) -> Move {
        guard phase == .active || isReleasing, !slot.isBusy else { return .nothing }
        // Everything becomes free by one write of the member record: see mayStop().
        if isReleasing && inheritedIsOver { return .nothing }
        if let retryAfter = slot.retryAfter {
            let rest = retryRest(since: retryAfter)
            if rest > .zero { return .wait(rest) }
        }
        if slot.mustRead { return .read }
        switch slot.known {
        case .unread, .unreadable: return .nothing
        case .absent: return moveForAbsent(slot)
        case .record(let record, _):
            if record.isFree { return moveForFree(slot, record) }
            if record.holderIdentity != identity.cluster { return moveForOther(slot, record) }
            if let claim = slot.claim { return moveForClaim(slot, record, claim) }
            if record.uid == identity.uid && record.incarnation == identity.incarnation {
                return moveForLapsed(slot, record)
            }
            return moveForPredecessor(slot, record)
        }
    }

    /// Rule "taker, step 2": absent and never seen is free; absent but seen before means that somebody deleted it.
    private func moveForAbsent(_ slot: Slot) -> Move {
        guard let seconds = aim(of: slot) else { return .nothing }
        guard let lastSeen = slot.lastSeen, let shown = slot.shown else { return claim(seconds) }
        guard Rule.deletedIsNotFree.isKept else { return claim(seconds) }
        let wait = timing.deletionWait(ofSeconds: lastSeen.seconds)
        if shown.elapsedForWait(since: slot.firstReceived) >= wait { return claim(seconds) }
        return after(wait - now.elapsedForWait(since: slot.firstReceived), .read)
    }

    /// Rule "taker, step 2": free to claim; but whoever is not preferred lets the asked-for cluster go first.
    private func moveForFree(_ slot: Slot, _ record: LeaseRecord) -> Move {
        guard let seconds = aim(of: slot) else { return .nothing }
        if record.preferredHolder != identity.cluster, let asked = record.wantedBy, asked != identity.cluster,
            isLive(asked, forSeconds: record.leaseDurationSeconds)
        {
            let rest = timing.pollInterval * 2 - now.elapsedForWait(since: slot.firstReceived)
            if rest > .zero { return .wait(rest) }
        }
        return claim(seconds)
    }

    /// A claim of ours that we may act on.
    private func moveForClaim(_ slot: Slot, _ record: LeaseRecord, _ claim: Slot.Claim) -> Move {
        guard let seconds = aim(of: slot) else { return .drop(to: nil) }
        if let other = otherAgreedHolder(record) { return .drop(to: other) }
        if seconds < claim.written {
            // Rule "what an incarnation inherits": until then no claim may carry less than it replaces.
            if Rule.inheritedDurationIsCarried.isKept, !inheritedIsOver { return .wait(inheritedRest) }
            // Rule "a changed lease duration": grants given under the longer window must end first.
            guard case .published(let since) = slot.shortened else { return .nothing }
            let rest = timing.grantsEnd - now.elapsedForWait(since: since)
            return after(Rule.shorteningWaitsForGrants.isKept ? rest : .zero, self.claim(seconds))
        }
        return seconds > claim.written || claim.honoured < claim.written ? self.claim(seconds) : .nothing
    }

    /// A record of this incarnation without a claim to act on: lapsed, dropped, or landed too late.
    private func moveForLapsed(_ slot: Slot, _ record: LeaseRecord) -> Move {
        let seconds = otherAgreedHolder(record) == nil ? aim(of: slot) : nil
        guard let seconds else {
            return after(max(grantsRest(of: slot), slot.inheritedSeconds.map(freeingRest) ?? .zero), .free)
        }
        let carried = carriedSeconds(seconds, replacing: record)
        // A clock jump ends the window, not the grants that were given under it.
        return after(carried < record.leaseDurationSeconds ? grantsRest(of: slot) : .zero, claim(carried))
    }

    /// A record that an earlier incarnation of this cluster wrote, or one of its name with another uid.
    private func moveForPredecessor(_ slot: Slot, _ record: LeaseRecord) -> Move {
        let seconds = aim(of: slot)
        if seconds == nil || (record.uid != identity.uid && Rule.uidTellsClustersApart.isKept) {
            let rest = freeingRest(record.leaseDurationSeconds)
            if rest > .zero { return .wait(rest) }
        }
        // Rule "own records of other incarnations": first a proof that this incarnation was not deposed meanwhile.
        guard own.confirmedStep >= slot.knownStep || !Rule.ownRecordIsReadAgain.isKept else {
            return .confirm(member: identity.cluster)
        }
        guard let seconds else { return .free }
        return claim(carriedSeconds(seconds, replacing: record))
    }

    /// Rule "taker, step 3": another cluster's lease is free once that cluster has been silent, or has stopped.
    private func moveForOther(_ slot: Slot, _ record: LeaseRecord) -> Move {
        guard let seconds = aim(of: slot), let position = memberPosition(record.holderIdentity) else { return .nothing }
        let member = members[position]
        guard member.presence != .unread else { return .nothing }
        let wait = timing.staleness(ofSeconds: record.leaseDurationSeconds)
        // Decisive: a read of the member record that was sent after the lease record was received.
        if let read = member.decisive, read.sentStep >= slot.knownStep || !Rule.memberIsReadAfterLease.isKept {
            if read.presence.record?.state == .stopped { return claim(seconds) }
            let end = Rule.silenceEndsWhenTheReadWasSent.isKept ? read.sent : now
            if end.elapsedForWait(since: read.firstReceived) >= wait {
                return claim(seconds)
            }
        }
        if member.presence.record?.state != .stopped {
            let rest = wait - now.elapsedForWait(since: member.firstReceived)
            if rest > .zero {
                if record.preferredHolder == identity.cluster && record.wantedBy != identity.cluster { return .ask }
                return .wait(rest)
            }
            // Rule "taker": when a member has become stale, the leases are listed first.
            guard let relisted = member.relisted, relisted.presence == member.presence else {
                return .relist(member: position)
            }
            if slot.answeredStep <= relisted.step { return .nothing }
        }
        if let retryAfter = member.retryAfter {
            let rest = retryRest(since: retryAfter)
            if rest > .zero { return .wait(rest) }
        }
        return .confirm(member: record.holderIdentity)
    }

    /// The other cluster that should have the lease and has asked for it, if it is live.
    private func otherAgreedHolder(_ record: LeaseRecord) -> String? {
        guard let agreed = record.agreedHolder, agreed != identity.cluster,
            isLive(agreed, forSeconds: record.leaseDurationSeconds)
        else { return nil }
        return agreed
    }

    /// Rule "what an incarnation inherits": until the wait is over, a claim that replaces a record of this cluster,
    /// whoever wrote it, carries at least the duration that it replaces.
    private func carriedSeconds(_ seconds: Int, replacing record: LeaseRecord) -> Int {
        inheritedIsOver || !Rule.inheritedDurationIsCarried.isKept ? seconds : max(seconds, record.leaseDurationSeconds)
    }

    /// Rule "what an incarnation inherits": what is left until a lease that an earlier incarnation held with this
    /// duration may be freed. The earlier one may be paused inside its window; that holds for a lease that this
    /// incarnation has claimed again, too, since the earlier one does not know yet.
    private func freeingRest(_ seconds: Int) -> Duration {
        guard let inherited, Rule.freeingWaitsForPredecessor.isKept else { return .zero }
        return timing.freeingWait(ofSeconds: seconds) - now.elapsedForWait(since: inherited.since)
    }

    /// Rule "giving a lease back": what is left until no webhook can act on this incarnation's grants.
    func grantsRest(of slot: Slot) -> Duration {
        guard Rule.freeingWaitsForGrants.isKept || phase == .leaving(.release) else { return .zero }
        switch slot.granting {
        case .never: return .zero
        // The end has not been published yet: the step after that knows more.
        case .running, .dropped: return timing.grantsEnd
        case .ended(let since): return timing.grantsEnd - now.elapsedForWait(since: since)
        }
    }

    /// What is left of the pause after a request that failed.
    private func retryRest(since failed: Reading) -> Duration {
        timing.retryInterval - now.elapsedForUse(since: failed)
    }

    private func after(_ rest: Duration, _ move: Move) -> Move { rest > .zero ? .wait(rest) : move }

    /// Rules "taker, step 4" and "durations are declared first".
    private func claim(_ seconds: Int) -> Move {
        mayClaim(seconds) ? .claim(seconds: seconds) : .nothing
    }

    func mayClaim(_ seconds: Int) -> Bool {
        windowIsOpen(ofSeconds: seconds)
            && (declaredQuiet >= seconds || !Rule.durationIsDeclaredFirst.isKept)
    }

    // MARK: Carrying it out

    /// Goes through all leases: what is to be written is queued, the rest is done or timed.
    mutating func plan() {
        planIsDue = false
        slotsWakeAt = .max
        ready.removeAll(keepingCapacity: true)
        readyHead = 0
        for position in slots.indices { consider(position) }
        isHandingOver = slots.contains { isMoving($0) }
        // A longer duration is declared as soon as may be, so that its claims can follow.
        if phase == .active, longestDuration > declaredQuiet { own.isHurried = true }
    }

    /// Does, queues or times what one lease needs.
    mutating func consider(_ position: Int) {
        // A copy of the slot spares one of the whole elector.
        let slot = slots[position]
        switch move(for: slot) {
        case .nothing: break
        case .wait(let rest):
            slotsWakeAt = min(slotsWakeAt, now.boottime.saturatingAdd(max(rest, .milliseconds(1)).nanoseconds))
        case .confirm(let member): confirm(member)
        case .relist(let member):
            members[member].relisted = (members[member].presence, step)
            leasesList.isWanted = true
        case .drop(let successor):
            output.notes.append(.givingBack(namespace: slots[position].namespace, to: successor))
            drop(position)
        case .read, .claim, .free, .ask: ready.append(position)
        }
    }

    private mutating func confirm(_ cluster: String) {
        if cluster == identity.cluster { return confirmOwnRecord() }
        guard let position = memberPosition(cluster), members[position].request == nil else { return }
        members[position].request = send(.read(.member(cluster)), for: .memberRead(position))
    }

    /// Whether a planned handover to or from this cluster is under way: it is, for a while, after such a record changed.
    private func isMoving(_ slot: Slot) -> Bool {
        guard slot.wanted != nil, case .record(let record, _) = slot.known, let preferred = record.preferredHolder,
            preferred != record.holderIdentity,
            preferred == identity.cluster || record.holderIdentity == identity.cluster
        else { return false }
        return now.elapsedForUse(since: slot.firstReceived) < timing.pollInterval * 10
    }

    /// Stops acting on every claim.
    mutating func dropAll() {
        for position in slots.indices where slots[position].claim != nil { drop(position) }
    }

    /// Stops acting on a claim: from here on the table does not show it.
    mutating func drop(_ position: Int) {
        slots[position].claim = nil
        slots[position].shortened = nil
        slots[position].granting = .dropped
        unpublished.append(position)
        touch(position)
    }
}

extension Int64 {
    func saturatingAdd(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        guard overflow else { return sum }
        return other < 0 ? .min : .max
    }
}
