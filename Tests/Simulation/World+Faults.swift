internal import Election

// What goes wrong by chance, and what people do.
extension World {
    /// Counts a fault. Whoever gets false lets it be: it is beyond the prefix of faults that this run is limited to.
    func inject() -> Bool {
        faults += 1
        return faults <= faultLimit
    }

    /// Around the lengths at which something happens: a grant, a time-out, a take-over by a standby, a lease.
    func interestingDelay() -> Int64 {
        let lease = Int64(random.pick(setting.durations)) * second
        let base: Int64 =
            switch random.below(10) {
            case 0: second
            case 1: 3 * second
            case 2: 6 * second
            case 3: 9 * second
            case 4: lease - 3 * second
            case 5: 2 * lease
            default: lease
            }
        return max(0, base + random.within(-second...second))
    }

    func scheduleFaults() {
        guard !setting.isDirected else { return }
        after(random.within(0...2 * setting.faultInterval)) {
            guard self.isFaulty else { return }
            if self.inject() { self.fault() }
            self.scheduleFaults()
        }
    }

    /// Everything works again: what is down comes up, and from here on the promise of progress counts.
    func endFaults() {
        isFaulty = false
        for replica in replicas {
            replica.link.downUntil = 0
            replica.clocks.setSlew(0, at: time)
            update(replica.agent, cluster: replica.cluster)
            wake(replica)
            // The last machines of a cluster that was built anew are switched off.
            if replica.uid != uids[replica.cluster] { kill(replica) }
            start(replica)
        }
        trace(nil, "faults", .fault("end"))
        // Everybody competes for everything, so that there is somebody for each.
        for cluster in wants.indices {
            for index in wants[cluster].indices {
                if case .lead = wants[cluster][index] { continue }
                setWish(cluster, index, .lead(seconds: setting.durations[0]))
            }
        }
        let wait = longestWait
        after(wait) { self.checkProgress(after: wait) }
        end = max(end, time + wait + Self.costWindow + second)
        after(end - time - Self.costWindow - second) { self.checkCost() }
    }

    /// Rule "progress": one lease duration·(1+rho), two poll intervals and a request time-out; one re-list period when a
    /// write landed late; and the waits of the rules: a standby's, a new cluster's of an old name, a deleted record's.
    private var longestWait: Int64 {
        let longest = setting.durations.max() ?? 0
        var wait =
            timing.staleness(ofSeconds: longest) + timing.pollInterval * 2 + timing.requestTimeout
            + timing.relistInterval
        let takeovers = replicas.map { max($0.takeovers, $0.elector?.takeovers ?? 0) }.max() ?? 0
        wait += timing.standbyTakeover(after: takeovers) * 2
        if startsBarredUntil > 0 { wait += timing.deletionWait(ofSeconds: longest) }
        if uids.contains(where: { $0.hasSuffix("-new") }) {
            wait += timing.staleness(ofSeconds: max(timing.leaseDurationLimit, longest))
        }
        return wait.nanoseconds + max(0, startsBarredUntil - time)
    }

    private func checkProgress(after wait: Int64) {
        for namespace in setting.namespaces {
            guard !replicas.contains(where: { leads(namespace, $0) }) else { continue }
            violate(
                .progress, namespace,
                "nobody leads \(namespace) at \(stamp(time)), \(stamp(wait)) after the last fault")
        }
    }

    private func leads(_ namespace: String, _ replica: Replica) -> Bool {
        if case .leads = replica.board?.standing(of: namespace, at: replica.clocks.reading(at: time)) {
            true
        } else {
            false
        }
    }

    /// Rule "cost": two store requests per active replica and renew interval, one list of leases per re-list period, and a
    /// read a second per standby, as long as no lease changes hands.
    private static let costWindow = 45 * second

    private func checkCost() {
        // For a while after a lease changed hands the leases are listed more often, in case it was a planned handover.
        guard time - lastLeaseWrite > 31 * second else { return }
        let (before, changes, starts) = (requests, exclusion.leaderChanges, incarnations)
        let version = store.objects.map { $0.name.folder == .leases ? $0.object?.version : nil }
        let window = Self.costWindow / second
        after(Self.costWindow) {
            let now = self.store.objects.map { $0.name.folder == .leases ? $0.object?.version : nil }
            guard now == version, self.exclusion.leaderChanges == changes, self.incarnations == starts else { return }
            let active = self.replicas.count { $0.isActive }
            let standbys = self.replicas.count { $0.elector != nil && !$0.isActive }
            // Clocks may be fast by rho, and a round may begin just before and end just after.
            let rounds = Double(window) / 3 * 1.02 + 1
            let lists = Double(window) / Double(self.timing.relistInterval.nanoseconds / second) * 1.02 + 1
            let most = Double(active) * (2 * rounds + lists) + Double(standbys) * (Double(window) * 1.02 + 1)
            if Double(self.requests - before) > most {
                self.violate(
                    .cost, nil, "\(self.requests - before) store requests in \(window) s, more than \(Int(most))")
            }
        }
    }

    private func fault() {
        let replica = replicas[random.below(replicas.count)]
        switch random.below(16) {
        case 0: stop(replica, for: interestingDelay())
        case 1: holdUp(replica, for: interestingDelay())
        case 2: stop(replica, for: interestingDelay(), suspending: true)
        case 3, 4:
            kill(replica)
            let run = replica.run
            after(random.chance(50) ? random.within(0...second) : interestingDelay()) {
                if replica.run == run { self.start(replica) }
            }
        case 5: stepClock(replica.agent, by: random.within(-40 * second...40 * second))
        case 6: slew(replica.agent, random.pick([-0.08, 0.08, 0, Double(random.within(-80...80)) / 1000]))
        case 7:
            let webhook = webhooks[random.below(webhooks.count)]
            random.chance(50)
                ? stepClock(webhook.agent, by: random.within(-40 * second...40 * second))
                : slew(webhook.agent, random.pick([-0.08, 0.08, 0]))
        case 8: stop(webhooks[random.below(webhooks.count)], for: interestingDelay())
        case 9, 10: cutOff(replica, for: interestingDelay(), random.pick([.requests, .answers, .both, .nothing]))
        case 11: leave(replica, .handover)
        case 12: leave(replica, .release)
        case 13: changeWish(of: replica.cluster)
        case 14: prefer(random.below(setting.namespaces.count), replica.cluster)
        default:
            if random.chance(25) {
                buildAnew(replica.cluster)
            } else if random.chance(30) {
                deleteMember(replica.cluster)
            } else if setting.deletesLeases {
                deleteLease(random.below(setting.namespaces.count))
            }
        }
    }

    func stepClock(_ agent: Agent, by step: Int64) {
        guard isFaulty else { return }
        trace(nil, agent.name, .fault("wall clock stepped by \(stamp(abs(step)))\(step < 0 ? " back" : "")"))
        agent.clocks.stepWallClock(by: step, at: time)
        update(agent, cluster: 0)
    }

    func slew(_ agent: Agent, _ slew: Double) {
        guard isFaulty else { return }
        trace(nil, agent.name, .fault("clocks slewed by \(Int(slew * 100)) %"))
        agent.clocks.setSlew(slew, at: time)
        update(agent, cluster: 0)
    }

    func cutOff(_ replica: Replica, for length: Int64, _ loss: History.Loss) {
        guard isFaulty else { return }
        replica.link = Link(downUntil: time + length, loss: loss)
        trace(replica.cluster, replica.name, .cutOff(until: time + length, loss))
    }

    func leave(_ replica: Replica, _ farewell: Farewell) {
        guard isFaulty, replica.elector != nil else { return }
        trace(replica.cluster, replica.name, .fault("asked to leave: \(farewell)"))
        deliver(.leave(farewell), to: replica)
        guard farewell == .release else { return }
        // As the controller does when a release takes too long.
        let run = replica.run
        after(40 * second) { if replica.run == run { self.deliver(.leave(.handover), to: replica) } }
    }

    func changeWish(of cluster: Int) {
        let index = random.below(setting.namespaces.count)
        setWish(
            cluster, index,
            random.chance(30)
                ? random.pick([.forget, .leaveOut]) : .lead(seconds: random.pick(setting.durations)))
    }

    func setWish(_ cluster: Int, _ index: Int, _ aim: Wish.Aim, butOf uninformed: Replica? = nil) {
        wants[cluster][index] = aim
        trace(cluster, "c\(cluster)", .fault("wants of \(setting.namespaces[index]): \(aim)"))
        for replica in replicas where replica.cluster == cluster && replica !== uninformed {
            deliver(.wishes([Wish(setting.namespaces[index], aim)]), to: replica)
        }
    }

    func prefer(_ index: Int, _ cluster: Int) {
        let name = RecordName.lease(setting.namespaces[index])
        guard let object = store[name], var record = try? LeaseRecord(parsing: object.body) else { return }
        record.preferredHolder = "c\(cluster)"
        record.write = "admin-\(store.lastVersion)"
        trace(nil, "administrator", .fault("prefers c\(cluster) for \(setting.namespaces[index])"))
        _ = land(name, record.encoded(), object.version)
        _ = land(.notice, Array("\(store.lastVersion)".utf8), store[.notice]?.version)
    }

    func deleteMember(_ cluster: Int) {
        guard isFaulty else { return }
        trace(nil, "administrator", .fault("deletes members/c\(cluster)"))
        store.delete(.member("c\(cluster)"))
    }

    /// Whoever has not read the record as it was when it was deleted takes the namespace for new, while the holder has not noticed:
    /// the limit that docs/protocol.md states. So this happens only when all have read it, and nobody starts or takes over
    /// from standing by until all have seen that it is gone.
    func deleteLease(_ index: Int) {
        guard let object = store[.lease(setting.namespaces[index])],
            let record = try? LeaseRecord(parsing: object.body)
        else { return }
        func hasRead(_ replica: Replica) -> Bool {
            guard let table = replica.board, let slot = table.index.slot(of: setting.namespaces[index]) else {
                return false
            }
            return table.entries[slot].term >= record.term
        }
        guard time >= startsBarredUntil, replicas.allSatisfy({ !$0.isActive || hasRead($0) }) else { return }
        let standing = replicas.filter { $0.elector != nil && !$0.isActive }
        for replica in standing { kill(replica) }
        let wait = timing.deletionWait(ofSeconds: setting.durations.max() ?? 0)
        startsBarredUntil = time + wait.nanoseconds * 11 / 10
        for replica in standing { start(replica) }
        trace(nil, "administrator", .fault("deletes leases/\(setting.namespaces[index])"))
        store.delete(.lease(setting.namespaces[index]))
        leaseDeletions[setting.namespaces[index]] = time
    }

    /// The cluster is built anew under its old name: new machines with another uid, while the old ones may still be there.
    func buildAnew(_ cluster: Int) {
        guard uids[cluster] == "uid-\(cluster)" else { return }
        uids[cluster] += "-new"
        trace(cluster, "c\(cluster)", .fault("is built anew"))
        exclusion.addParty()
        addWebhooks(of: cluster, party: exclusion.parties - 1)
        for webhook in webhooks where webhook.uid == uids[cluster] { ask(webhook) }
        // One of the old machines stays, cut off or stopped; the others make room for the new ones.
        for (order, replica) in replicas.filter({ $0.cluster == cluster }).enumerated() {
            if order == 0, replicas.count(where: { $0.cluster == cluster }) > 1 {
                random.chance(50)
                    ? stop(replica, for: interestingDelay())
                    : cutOff(replica, for: interestingDelay(), random.pick([.both, .answers]))
            } else {
                kill(replica)
                after(random.within(0...second)) { self.start(replica) }
            }
        }
    }
}
