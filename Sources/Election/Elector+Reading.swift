// What lists and reads tell about the other members and the leases.
extension Elector {
    // MARK: Members

    mutating func takeMembers(_ answer: Answer, to request: Pending) {
        membersList.request = nil
        guard case .objects(let objects) = answer else {
            membersList.hasFailed = true
            return
        }
        var listed = Set<Int>(minimumCapacity: objects.count)
        for object in objects {
            if object.name == .notice {
                if noticeVersion != object.version { leasesList.isWanted = true }
                noticeVersion = object.version
            } else if RecordName.isValid(object.name.name), object.name.name != identity.cluster {
                let position = memberPositionAdding(object.name.name)
                listed.insert(position)
                observe(position, object, sentStep: request.sentStep)
            }
        }
        for position in members.indices where !listed.contains(position) {
            observe(position, nil, sentStep: request.sentStep)
        }
        planIsDue = true
    }

    mutating func takeMemberRead(_ answer: Answer, index: Int, to request: Pending) {
        members[index].request = nil
        planIsDue = true
        guard case .object(let object) = answer else {
            members[index].retryAfter = now
            return
        }
        members[index].retryAfter = nil
        observe(index, object, sentStep: request.sentStep)
        // A list received while this read was under way may have shown another state, and nobody knows which is newer:
        // only a read that shows what is remembered decides. Otherwise the member is read again.
        guard members[index].presence.shows(object) else { return }
        members[index].decisive = Member.Decisive(
            sent: request.sent, sentStep: request.sentStep, presence: members[index].presence,
            firstReceived: members[index].firstReceived)
    }

    /// Notes what an answer showed of a member: the version, and when it was first received.
    private mutating func observe(_ position: Int, _ object: RecordObject?, sentStep: UInt64) {
        // Sent before a later answer was received: it may show an older state.
        guard sentStep >= members[position].answeredStep else { return }
        members[position].answeredStep = step
        let before = members[position].presence
        guard let object else {
            if before != .absent {
                members[position].presence = .absent
                members[position].firstReceived = now
                leasesList.isWanted = true
            }
            return
        }
        if before.version == object.version { return }
        var record: MemberRecord?
        do {
            record = try MemberRecord(parsing: object.body, ofCluster: members[position].name)
        } catch {
            output.notes.append(.unreadable(object.name, reason: error.description))
        }
        // The leases are listed again only when some member changed one of them, or came or went.
        if before.record?.leaseSequence != record?.leaseSequence || before.record?.state != record?.state {
            leasesList.isWanted = true
        }
        members[position].presence = .record(record, object.version)
        members[position].firstReceived = now
    }

    /// Whether the member takes part: for the handover's courtesies only, no safety rule asks.
    func isLive(_ cluster: String, forSeconds seconds: Int) -> Bool {
        guard let position = memberPosition(cluster), members[position].presence.record?.state == .live else {
            return false
        }
        return now.elapsedForWait(since: members[position].firstReceived) < timing.staleness(ofSeconds: seconds)
    }

    // MARK: Leases

    mutating func takeLeases(_ answer: Answer, to request: Pending) {
        leasesList.request = nil
        guard case .objects(let objects) = answer else {
            leasesList.hasFailed = true
            return
        }
        var listed = [Bool](repeating: false, count: slots.count)
        for object in objects where RecordName.isValid(object.name.name) {
            let position = slotPositionAdding(object.name.name)
            if position < listed.count { listed[position] = true }
            learn(position, object, from: request)
        }
        for position in listed.indices where !listed[position] { learn(position, nil, from: request) }
        planIsDue = true
    }

    mutating func takeLeaseRead(_ answer: Answer, slot position: Int, to request: Pending) {
        leaseRequestsInFlight -= 1
        slots[position].isBusy = false
        guard case .object(let object) = answer else {
            slots[position].mustRead = true
            slots[position].retryAfter = now
            return consider(position)
        }
        slots[position].mustRead = false
        learn(position, object, from: request)
        // Attempts on the version that is still there may land yet: the next one takes its time.
        slots[position].retryAfter = slots[position].attempts.isEmpty ? nil : now
        consider(position)
    }

    /// Takes in what an answer showed of a lease record; nil: absent.
    private mutating func learn(_ position: Int, _ object: RecordObject?, from request: Pending) {
        // Sent before a later answer was received, or while a write is under way: that write's answer will tell.
        guard request.sentStep >= slots[position].answeredStep,
            !slots[position].isBusy
        else { return }
        slots[position].answeredStep = step
        slots[position].shown = request.sent
        switch (slots[position].known, object) {
        case (.absent, nil): return
        case (let known, let object?) where known.version == object.version: return
        case (_, nil):
            if slots[position].known != .unread {
                output.notes.append(.deleted(namespace: slots[position].namespace))
            }
            know(position, .absent)
            lose(position, because: "its lease record was deleted")
        case (_, let object?):
            do {
                let record = try LeaseRecord(parsing: object.body)
                reconcile(position, with: record, version: object.version)
            } catch {
                output.notes.append(.unreadable(object.name, reason: error.description))
                know(position, .unreadable(object.version))
                lose(position, because: "its lease record cannot be read: \(error)")
            }
        }
    }

    /// A record of another version: is it an own attempt, the claim that is held, or somebody else's?
    private mutating func reconcile(_ position: Int, with record: LeaseRecord, version: Version) {
        // Rule "an unclear answer": the attempt's own id says which one landed. It stays when somebody has changed
        // only the handover fields since.
        let attempt = slots[position].attempts.first {
            $0.record.write == record.write || $0.kind != .ask && $0.record.claim == record.claim
        }
        know(position, .record(record, version))
        // Others list the leases again when this number has grown.
        if attempt != nil { own.leaseSequence += 1 }
        if attempt?.kind == .free { output.notes.append(.gaveBack(namespace: slots[position].namespace)) }
        if let attempt, attempt.kind == .claim {
            adopt(attempt, at: position, isAcknowledged: false)
        } else if let claim = slots[position].claim {
            // Rule "using a claim": a claim that its record, listed after the acknowledgement, no longer shows has
            // lapsed. A record with only the handover fields changed still shows it.
            let isShown =
                record.claim == claim.id && record.term == claim.term && record.incarnation == identity.incarnation
                && record.holderIdentity == identity.cluster && record.uid == identity.uid
            if isShown && record.leaseDurationSeconds >= claim.honoured { return }
            lose(position, because: record.isFree ? "its lease record is free" : "its lease record shows another claim")
        }
    }

    /// Sets what is known of a lease record. What was attempted on the state before can no longer land.
    mutating func know(_ position: Int, _ known: Slot.Known) {
        let before = slots[position].known
        slots[position].known = known
        slots[position].knownStep = step
        slots[position].firstReceived = now
        slots[position].attempts.removeAll()
        touch(position)
        let lastSeen = slots[position].lastSeen
        if case .unreadable = known {
            // An unknown holder with an unknown duration: if it is deleted, the longest one counts.
            slots[position].lastSeen = (lastSeen?.term ?? 0, max(lastSeen?.seconds ?? 0, timing.leaseDurationLimit))
        }
        guard case .record(let record, _) = known else { return }
        slots[position].lastSeen = (max(lastSeen?.term ?? 0, record.term), record.leaseDurationSeconds)
        // A holder without a member record is absent from now on, as the next list of members will show.
        if !record.isFree, record.holderIdentity != identity.cluster { forgetAbsence(of: record.holderIdentity) }
        var holderBefore = ""
        if case .record(let record, _) = before { holderBefore = record.holderIdentity }
        if record.holderIdentity != holderBefore && record.holderIdentity != identity.cluster {
            output.notes.append(
                .holderChanged(
                    namespace: slots[position].namespace, holder: record.isFree ? nil : record.holderIdentity,
                    term: record.term))
        }
    }

    /// Rule "taker, step 3": absence can come back. Whoever wrote the lease record that was just received had a member
    /// record then; only an answer to a request sent from now on tells that it is gone.
    private mutating func forgetAbsence(of holder: String) {
        let position = memberPositionAdding(holder)
        guard members[position].presence == .absent, Rule.absenceCountsFromTheLease.isKept else { return }
        members[position].presence = .unread
        members[position].answeredStep = step
        members[position].decisive = nil
        members[position].relisted = nil
        membersList.isWanted = true
    }

    private mutating func lose(_ position: Int, because reason: String) {
        guard let claim = slots[position].claim, Rule.unshownClaimHasLapsed.isKept else { return }
        drop(position)
        output.notes.append(.lost(namespace: slots[position].namespace, term: claim.term, reason: reason))
    }
}
