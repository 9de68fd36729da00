internal import Election

// Controllers and webhooks: starting, being stopped, handling one event after the other, asking for grants.
extension World {
    func start(_ replica: Replica) {
        guard replica.elector == nil else { return }
        guard time >= startsBarredUntil else {
            return after(startsBarredUntil - time) { self.start(replica) }
        }
        if replica.uid != uids[replica.cluster] { moveIn(replica) }
        incarnations += 1
        replica.run += 1
        replica.incarnation = "i\(incarnations)"
        replica.elector = makeParticipant(
            .init(cluster: "c\(replica.cluster)", uid: replica.uid, incarnation: replica.incarnation), timing,
            replica.takeovers)
        trace(replica.cluster, replica.name, .started(incarnation: replica.incarnation))
        deliver(wishes(of: replica), to: replica)
    }

    /// A cluster that was built anew has new machines; only the name is the old one.
    private func moveIn(_ replica: Replica) {
        replica.uid = uids[replica.cluster]
        let party = webhooks.last { $0.cluster == replica.cluster && $0.uid == replica.uid }?.agent.party
        replica.agent = Agent(
            name: replica.name, party: party ?? replica.agent.party, clocks: replica.clocks,
            namespaces: setting.namespaces.count)
        exclusion.add(replica.agent)
    }

    func wishes(of replica: Replica) -> Event {
        .wishes(
            zip(setting.namespaces, wants[replica.cluster]).map { Wish($0, $1) })
    }

    func kill(_ replica: Replica, _ why: String = "killed") {
        guard replica.elector != nil else { return }
        trace(replica.cluster, replica.name, .ended(why))
        replica.clocks.setSuspended(false, at: time)
        replica.elector = nil
        replica.board = nil
        replica.stoppedUntil = 0
        replica.heldUpUntil = 0
        replica.continuation = nil
        replica.inbox.removeAll()
        replica.pending.removeAll()
        replica.script = nil
        replica.run += 1
        replica.agent.isStopped = false
        replica.agent.table = nil
        update(replica.agent, cluster: replica.cluster)
    }

    /// Stops the whole process.
    func stop(_ replica: Replica, for length: Int64, suspending: Bool = false) {
        guard isFaulty, replica.elector != nil, length > 0 else { return }
        replica.stoppedUntil = max(replica.stoppedUntil, time + length)
        trace(
            replica.cluster, replica.name,
            suspending ? .suspended(until: replica.stoppedUntil) : .stopped(until: replica.stoppedUntil))
        if suspending { replica.clocks.setSuspended(true, at: time) }
        replica.agent.isStopped = true
        update(replica.agent, cluster: replica.cluster)
        let run = replica.run
        after(length) {
            if replica.run == run { self.resumeIfDue(replica) }
        }
    }

    /// Holds up only the controller's thread: the webhook beside it goes on, and grants are given.
    func holdUp(_ replica: Replica, for length: Int64) {
        guard isFaulty, replica.elector != nil, length > 0 else { return }
        replica.heldUpUntil = max(replica.heldUpUntil, time + length)
        trace(replica.cluster, replica.name, .heldUp(until: replica.heldUpUntil))
        let run = replica.run
        after(length) { if replica.run == run { self.resumeIfDue(replica) } }
    }

    /// Lets a stopped or held-up process go on at once.
    func wake(_ replica: Replica) {
        guard replica.elector != nil, max(replica.stoppedUntil, replica.heldUpUntil) > time else { return }
        replica.stoppedUntil = min(replica.stoppedUntil, time)
        replica.heldUpUntil = min(replica.heldUpUntil, time)
        resumeIfDue(replica)
    }

    private func resumeIfDue(_ replica: Replica) {
        if replica.stoppedUntil <= time, replica.agent.isStopped {
            replica.clocks.setSuspended(false, at: time)
            replica.agent.isStopped = false
            trace(replica.cluster, replica.name, .stopped(until: time))
            update(replica.agent, cluster: replica.cluster)
        }
        // What came in meanwhile is taken in any order.
        if isFaulty && replica.inbox.count > 1 && random.chance(30) {
            for last in (1..<replica.inbox.count).reversed() { replica.inbox.swapAt(last, random.below(last + 1)) }
        }
        pump(replica)
    }

    // MARK: One event after the other

    func deliver(_ event: Event, to replica: Replica) {
        guard replica.elector != nil else { return }
        replica.inbox.append(event)
        pump(replica)
    }

    private func pump(_ replica: Replica) {
        while replica.elector != nil, replica.stoppedUntil <= time, replica.heldUpUntil <= time {
            if let go = replica.continuation {
                replica.continuation = nil
                go()
            } else if !replica.inbox.isEmpty {
                handle(replica.inbox.removeFirst(), by: replica)
            } else {
                return
            }
        }
    }

    private func handle(_ event: Event, by replica: Replica) {
        let output = replica.elector!.handle(event, at: replica.clocks.reading(at: time))
        for note in output.notes { trace(replica.cluster, replica.name, .note("\(note)")) }
        step(replica) { self.publish(output, by: replica) }
        if output.notes.contains(where: { if case .tookOver = $0 { true } else { false } }) { tookOver(replica) }
    }

    /// Between any two steps the controller's thread may be held up.
    private func step(_ replica: Replica, _ action: @escaping () -> Void) {
        guard isFaulty, random.chance(setting.trouble / 10), inject() else { return action() }
        replica.continuation = action
        holdUp(replica, for: interestingDelay())
    }

    private func publish(_ output: Output, by replica: Replica) {
        guard let table = output.table else { return carryOut(output, by: replica) }
        replica.board = table
        if setting.controllersAdmit {
            replica.agent.table = table
            update(replica.agent, cluster: replica.cluster)
        }
        let more = replica.elector!.handle(.published, at: replica.clocks.reading(at: time))
        step(replica) {
            self.carryOut(output, by: replica)
            if replica.elector != nil { self.publish(more, by: replica) }
        }
    }

    private func carryOut(_ output: Output, by replica: Replica) {
        for request in output.requests { send(request, by: replica) }
        if let ending = output.ending {
            replica.takeovers = replica.elector?.takeovers ?? 0
            kill(replica, "\(ending)")
            let run = replica.run
            after(random.within(0...2 * second)) { if replica.run == run { self.start(replica) } }
        } else if let wait = output.wakeAfter {
            replica.timer += 1
            let (timer, run) = (replica.timer, replica.run)
            after(wait.nanoseconds) {
                if replica.run == run && replica.timer == timer { self.deliver(.tick, to: replica) }
            }
        }
    }

    // MARK: Grants

    /// Asks one of the cluster's controllers, and again a sixth of a grant later.
    func ask(_ webhook: Webhook) {
        after(max(webhook.stoppedUntil - time, timing.grantDuration.nanoseconds / 6)) { self.ask(webhook) }
        guard webhook.stoppedUntil <= time else { return }
        // Counted rather than collected: this is where a run spends most of its questions.
        func isAsked(_ replica: Replica) -> Bool {
            replica.cluster == webhook.cluster && replica.elector != nil && replica.uid == webhook.uid
        }
        let count = replicas.count(where: isAsked)
        guard count > 0 else { return }
        var skip = random.below(count)
        guard
            let controller = replicas.first(where: { replica in
                guard isAsked(replica) else { return false }
                skip -= 1
                return skip < 0
            })
        else { return }
        let asked = webhook.agent.clocks.reading(at: time)
        let known = webhook.client.known
        after(networkDelay()) { self.grant(known, by: controller, to: webhook, askedAt: asked) }
    }

    private func grant(_ known: TableMark?, by controller: Replica, to webhook: Webhook, askedAt asked: Reading) {
        guard controller.stoppedUntil <= time, let table = controller.board, controller.uid == webhook.uid else {
            return
        }
        // The thread that answers may be held up, too, between the table and the clock.
        let holdUp = isFaulty && random.chance(setting.trouble / 10) && inject() ? interestingDelay() : 0
        after(holdUp) {
            let reading = controller.clocks.reading(at: max(self.time, controller.stoppedUntil))
            let grant = Grant(of: table, known: known, at: reading, timing: self.timing)
            self.after(self.networkDelay()) { self.take(grant, by: webhook, askedAt: asked) }
        }
    }

    private func take(_ grant: Grant, by webhook: Webhook, askedAt asked: Reading) {
        guard webhook.stoppedUntil <= time else {
            return after(webhook.stoppedUntil - time) { self.take(grant, by: webhook, askedAt: asked) }
        }
        let anchor = Rule.grantRunsFromAsking.isKept ? asked : webhook.agent.clocks.reading(at: time)
        do {
            guard let table = try webhook.client.take(grant, askedAt: anchor) else { return }
            webhook.agent.table = table
            update(webhook.agent, cluster: webhook.cluster)
        } catch {
            // An answer that refers to a table which another answer has replaced: the next question says so.
        }
    }

    func stop(_ webhook: Webhook, for length: Int64) {
        guard isFaulty else { return }
        webhook.stoppedUntil = max(webhook.stoppedUntil, time + length)
        webhook.agent.isStopped = true
        trace(webhook.cluster, webhook.agent.name, .stopped(until: webhook.stoppedUntil))
        update(webhook.agent, cluster: webhook.cluster)
        after(length) {
            guard webhook.stoppedUntil <= self.time else { return }
            webhook.agent.isStopped = false
            self.update(webhook.agent, cluster: webhook.cluster)
        }
    }
}
