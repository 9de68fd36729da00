// The own member record: starting, standing by, taking over, heartbeats, being deposed, leaving.
extension Elector {
    private var ownName: RecordName { .member(identity.cluster) }

    /// Sends the next request about the own record if one is due. One at a time, so that answers come in order.
    mutating func advanceOwnRecord() {
        guard own.request == nil else { return }
        switch phase {
        case .ended: return
        case .joining:
            // A standby polls every second, so that a rolling update leaves no gap longer than the grants.
            if isDue(after: min(.seconds(1), timing.renewInterval), since: own.lastRead) { readOwn() }
        case .active, .leaving:
            if own.mustReadBack {
                if isDue(after: timing.retryInterval, since: own.lastRead) { readOwn() }
            } else if let state = nextState() {
                writeOwn(state)
            } else if own.checkIsWanted, isDue(after: timing.retryInterval, since: own.checkFailed) {
                readOwn()
            }
        }
    }

    /// The state to write now; nil: nothing is due yet.
    private mutating func nextState() -> MemberRecord.State? {
        switch phase {
        case .joining, .ended: return nil
        case .active: break
        case .leaving(.handover):
            // At once: what webhooks were granted runs out by itself, and the next incarnation inherits it.
            return isDue(after: own.isHurried ? timing.retryInterval : .zero, since: own.lastWrite) ? .handover : nil
        case .leaving(.release):
            if mayStop() {
                return isDue(after: own.isHurried ? timing.retryInterval : .zero, since: own.lastWrite) ? .stopped : nil
            }
        }
        let interval = own.isHurried ? timing.retryInterval : timing.renewInterval
        return isDue(after: interval, since: own.lastWrite) ? .live : nil
    }

    private mutating func readOwn() {
        own.lastRead = now
        own.checkIsWanted = false
        own.request = send(.read(ownName), for: .ownRead)
    }

    /// Asks for a proof, sent from now on, that the member record is this incarnation's.
    mutating func confirmOwnRecord() { own.checkIsWanted = true }

    private mutating func writeOwn(_ state: MemberRecord.State) {
        own.sequence += 1
        let quiet = quietSeconds(in: state)
        let record = MemberRecord(
            cluster: identity.cluster, uid: identity.uid, incarnation: identity.incarnation, sequence: own.sequence,
            state: state, quietSeconds: quiet, leaseSequence: own.leaseSequence,
            renewTime: Timestamp.format(microseconds: now.realtime / 1000),
            renewIntervalSeconds: Double(timing.renewInterval.nanoseconds) / 1e9)
        if own.attempts.count == OwnRecord.attemptsMax { own.attempts.removeFirst() }
        own.attempts.append(.init(sequence: own.sequence, sent: now, quiet: quiet, state: state))
        own.lastWrite = now
        own.request = send(
            .write(ownName, body: record.encoded(), replacing: own.version), for: .ownWrite(sequence: own.sequence))
    }

    /// `quietSeconds`: for how long, after the record was replaced, some agent of this cluster may still act.
    private func quietSeconds(in state: MemberRecord.State) -> Int {
        // What was inherited itself, and is not waited out, is handed on whole.
        let handedOn = inheritedIsOver ? 0 : inheritedQuiet
        switch state {
        case .live: return max(longestDuration, handedOn)
        case .handover:
            return max(
                Rule.handoverCarriesGrants.isKept ? timing.grantDuration.secondsRoundedUp : 0,
                Rule.handoverHandsOnInherited.isKept ? handedOn : 0)
        case .stopped: return 0
        }
    }

    /// The longest duration of any claim, held, in flight or planned.
    var longestDuration: Int {
        var longest = 0
        for slot in slots {
            longest = max(longest, slot.wanted ?? 0, slot.claim?.written ?? 0)
            for attempt in slot.attempts where attempt.kind == .claim {
                longest = max(longest, attempt.record.leaseDurationSeconds)
            }
            if case .record(let record, _) = slot.known, record.holderIdentity == identity.cluster {
                longest = max(longest, record.leaseDurationSeconds)
            }
        }
        return longest
    }

    /// Rule "durations are declared first": what every record that may be the newest one declares.
    var declaredQuiet: Int {
        guard let acknowledged = own.acknowledged else { return 0 }
        return own.attempts.reduce(acknowledged.quiet) { min($0, $1.quiet) }
    }

    // MARK: Windows

    /// Rule "heartbeat": a window of D lasts until elapsed(H) reaches D·(1−rho), H being the reading before the newest
    /// acknowledged heartbeat was sent.
    func windowIsOpen(ofSeconds seconds: Int) -> Bool {
        guard let sent = own.acknowledged?.sent else { return false }
        return now.elapsedForUse(since: sent) < timing.window(ofSeconds: seconds)
    }

    /// Rule "a claim lapses for good": judged at the start of every step, so before any acknowledgement in it. A claim
    /// still in flight is marked as born lapsed.
    mutating func lapse() {
        guard let shortest = shortestHeld, !windowIsOpen(ofSeconds: shortest) else { return }
        shortestHeld = nil
        for position in slots.indices {
            for index in slots[position].attempts.indices where slots[position].attempts[index].isUnbroken {
                let attempt = slots[position].attempts[index]
                guard attempt.kind == .claim else { continue }
                if windowIsOpen(ofSeconds: attempt.record.leaseDurationSeconds) {
                    hold(attempt.record.leaseDurationSeconds)
                } else if Rule.claimInFlightIsBornLapsed.isKept {
                    slots[position].attempts[index].isUnbroken = false
                }
            }
            if let claim = slots[position].claim {
                if windowIsOpen(ofSeconds: claim.honoured) {
                    hold(claim.honoured)
                } else if Rule.lapsedForGood.isKept {
                    drop(position)
                    if !Rule.freeingLapsedWaitsForGrants.isKept { slots[position].granting = .never }
                    output.notes.append(.lapsed(namespace: slots[position].namespace, term: claim.term))
                }
            }
        }
    }

    /// Has ``lapse()`` watch a duration.
    mutating func hold(_ seconds: Int) { shortestHeld = min(shortestHeld ?? seconds, seconds) }

    // MARK: Inheritance

    private var inheritedQuiet: Int {
        Rule.inheritedIsTheMembersQuiet.isKept ? inherited?.quiet ?? joiningQuiet : predecessorsLongest
    }

    /// For a broken rule: what the lease records alone would say.
    private var predecessorsLongest: Int {
        slots.reduce(0) { longest, slot in
            guard case .record(let record, _) = slot.known, record.holderIdentity == identity.cluster,
                record.incarnation != identity.incarnation
            else { return longest }
            return max(longest, record.leaseDurationSeconds)
        }
    }

    /// q of the record that is being taken over; without one, D_limit.
    private var joiningQuiet: Int { own.previous?.quietSeconds ?? timing.leaseDurationLimit }

    /// What is left of the wait for what earlier incarnations may still do.
    var inheritedRest: Duration {
        guard let inherited else { return timing.inheritedWait(ofSeconds: joiningQuiet) }
        return timing.inheritedWait(ofSeconds: inheritedQuiet) - now.elapsedForWait(since: inherited.since)
    }

    var inheritedIsOver: Bool { inheritedRest <= .zero || !Rule.stoppingWaitsForInherited.isKept }

    // MARK: Answers

    mutating func takeOwnWrite(_ answer: Answer, sequence: UInt64) {
        own.request = nil
        switch answer {
        case .written(let version):
            guard let attempt = own.attempts.first(where: { $0.sequence == sequence }) else {
                preconditionFailure("only one own write is under way, and it is the newest attempt")
            }
            land(attempt, at: version)
        case .failed:
            own.attempts.removeAll { $0.sequence == sequence }
            own.isHurried = true
            if phase == .joining, let farewell = own.farewell { leave(farewell) }
        case .unclear where !Rule.unclearIsNotFailed.isKept:
            takeOwnWrite(.failed(""), sequence: sequence)
        case .conflict, .unclear:
            if !Rule.unclearIsNotDone.isKept, case .unclear = answer, let attempt = own.attempts.last, phase == .active
            {
                own.acknowledged = .init(sent: attempt.sent, quiet: attempt.quiet)
            }
            // Rule "an unclear answer": a conflict too may be this very write, sent twice.
            own.mustReadBack = true
            own.lastRead = nil
            own.isHurried = true
        case .object, .objects:
            preconditionFailure("a write was answered as a read")
        }
    }

    mutating func takeOwnRead(_ answer: Answer, to request: Pending) {
        own.request = nil
        guard case .object(let object) = answer else {
            // Not known: tried again after the retry interval. A mere check does not hold the heartbeats back.
            own.checkIsWanted = !own.mustReadBack
            own.checkFailed = now
            return
        }
        own.mustReadBack = false
        own.checkFailed = nil
        guard let object else { return takeOwnAbsence() }
        // What a standby reads every second is mostly what it has read before.
        if phase == .joining, let seen = own.seen, seen.version == object.version {
            return join(seen.record, version: object.version)
        }
        let record: MemberRecord
        do {
            record = try MemberRecord(parsing: object.body, ofCluster: identity.cluster)
        } catch {
            return end(
                .memberRecordUnreadable(
                    "\(ownName) cannot be read as a member record (\(error)), so it is not overwritten: "
                        + "move the object away, or choose another store or prefix"))
        }
        if record.incarnation == identity.incarnation {
            takeOwnConfirmation(record, version: object.version, sentStep: request.sentStep)
        } else if phase == .joining {
            join(record, version: object.version)
        } else if Rule.deposedStops.isKept {
            // Rule "deposed": drops everything and never adopts the new version.
            end(.deposed(by: record.incarnation))
        } else {
            own.version = object.version
            own.attempts.removeAll()
            own.confirmedStep = request.sentStep
        }
    }

    private mutating func takeOwnAbsence() {
        guard phase == .joining else { return end(.memberRecordGone) }
        own.seen = nil
        takeOver(nil, version: nil)
    }

    private mutating func takeOwnConfirmation(_ record: MemberRecord, version: Version, sentStep: UInt64) {
        own.confirmedStep = sentStep
        planIsDue = true
        // With the version that is known, none of the attempts has landed yet; each may still.
        if version != own.version {
            if let attempt = own.attempts.first(where: { $0.sequence == record.sequence }) {
                let newest = OwnRecord.Attempt(
                    sequence: attempt.sequence, sent: own.attempts.last?.sent ?? attempt.sent, quiet: attempt.quiet,
                    state: attempt.state)
                return land(Rule.readBackCountsTheAttemptsSendTime.isKept ? attempt : newest, at: version)
            }
            // Too old to be remembered: no new H, and it may declare less than the newest one known.
            own.version = version
            own.attempts.removeAll()
            if let quiet = own.acknowledged?.quiet { own.acknowledged?.quiet = min(quiet, record.quietSeconds) }
        }
        // Such a take-over is confirmed by a heartbeat that is remembered.
        if phase == .joining { tryTakeOver() }
    }

    /// A write of the own record took effect, and made this version.
    private mutating func land(_ attempt: OwnRecord.Attempt, at version: Version) {
        own.version = version
        own.attempts.removeAll()
        own.mustReadBack = false
        own.isHurried = false
        switch attempt.state {
        case .live:
            // The send time, not the answer's. Lapsed claims are gone already: see lapse().
            own.acknowledged = .init(
                sent: Rule.windowRunsFromSendTime.isKept ? attempt.sent : now, quiet: attempt.quiet)
            planIsDue = true
            if phase == .joining { becomeActive() }
            // All writes since the take-over were of this incarnation: nobody has deposed it meanwhile.
            if takeovers > 0, let inherited, now.elapsedForWait(since: inherited.since) >= timing.steadyTime {
                takeovers = 0
            }
        case .handover: end(.handedOver)
        case .stopped: end(.stopped)
        }
    }

    // MARK: Joining

    /// Rule "starting": what to do about the record of another incarnation of this cluster.
    private mutating func join(_ record: MemberRecord, version: Version) {
        if version != own.version {
            // A take-over attempted on another version can no longer land: nothing is left to leave.
            own.attempts.removeAll()
            if let farewell = own.farewell { return leave(farewell) }
        }
        let isSameUID = record.uid == identity.uid || !Rule.uidTellsClustersApart.isKept
        if record.state == .stopped || (record.state == .handover && isSameUID) {
            return takeOver(record, version: version)
        }
        if let seen = own.seen, seen.version == version {
            guard now.elapsedForWait(since: seen.firstReceived) >= wait(before: record) else { return }
            return takeOver(record, version: version)
        }
        if let seen = own.seen, !isSameUID, record.state == .live, seen.record.uid == record.uid {
            return end(
                .refused(
                    "two clusters use the name \"\(identity.cluster)\": this one has uid \(identity.uid), and one with "
                        + "uid \(record.uid) is writing \(ownName) right now. Give one of them another name"))
        }
        let isNews = own.seen?.record.incarnation != record.incarnation
        own.seen = (record, version, now)
        guard isNews else { return }
        let wait = wait(before: record)
        output.notes.append(
            isSameUID
                ? .standingBy(incarnation: record.incarnation, takeOverAfter: wait)
                : .otherUID(found: record.uid, own: identity.uid, takeOverAfter: wait))
    }

    /// For how long a record must stay unchanged before it is taken over.
    private func wait(before record: MemberRecord) -> Duration {
        let standby = timing.standbyTakeover(after: takeovers)
        if record.uid == identity.uid || !Rule.uidTellsClustersApart.isKept { return standby }
        let quiet = timing.staleness(ofSeconds: record.quietSeconds)
        // A cluster without any lease has no quiet time; it is given the time for a heartbeat all the same.
        return record.state == .live ? max(quiet, standby) : quiet
    }

    private mutating func takeOver(_ record: MemberRecord?, version: Version?) {
        if let farewell = own.farewell { return end(farewell.ending) }
        // Attempts on another version can no longer land.
        if version != own.version { own.attempts.removeAll() }
        own.version = version
        own.previous = record
        own.sequence = max(own.sequence, record?.sequence ?? 0)
        own.leaseSequence =
            record.map { $0.leaseSequence &+ 1 } ?? UInt64(max(0, now.realtime / 1_000_000_000))
        tryTakeOver()
    }

    /// Not again at once: a store that refuses each write and answers each read would be asked at the pace of its answers.
    /// The next read leads here again. A second at most, as for the reads: nobody leads meanwhile.
    private mutating func tryTakeOver() {
        if isDue(after: min(.seconds(1), timing.retryInterval), since: own.lastWrite) { writeOwn(.live) }
    }

    private mutating func becomeActive() {
        inherited = Inherited(quiet: joiningQuiet, since: now)
        if let previous = own.previous, previous.state == .live, previous.uid == identity.uid { takeovers += 1 }
        output.notes.append(
            .tookOver(
                previous: own.previous?.incarnation,
                uidChanged: own.previous.map { $0.uid != identity.uid } ?? false))
        phase = .active
        own.seen = nil
        if let farewell = own.farewell { leave(farewell) }
    }

    // MARK: Leaving

    mutating func leave(_ farewell: Farewell) {
        switch phase {
        case .ended: return
        case .joining:
            own.farewell = farewell
            // A take-over that may still land must be answered first; without one there is nothing to leave.
            if own.attempts.isEmpty { end(farewell.ending) }
        case .active, .leaving:
            phase = .leaving(farewell)
            own.isHurried = false
            dropAll()
            planIsDue = true
        }
    }

    /// Rule "giving back all at once": `stopped` is written only after the grants have ended and after what was
    /// inherited is waited out.
    private mutating func mayStop() -> Bool {
        let grantsRest = slots.reduce(Duration.zero) { max($0, self.grantsRest(of: $1)) }
        let rest = max(
            Rule.stoppingWaitsForInherited.isKept ? inheritedRest : .zero,
            Rule.stoppingWaitsForGrants.isKept ? grantsRest : .zero)
        guard rest > .zero else { return true }
        wakeAfter = min(wakeAfter, rest)
        return false
    }

    /// Ends this incarnation: all claims are dropped in the same step.
    private mutating func end(_ ending: Ending) {
        phase = .ended
        dropAll()
        output.ending = ending
    }
}
