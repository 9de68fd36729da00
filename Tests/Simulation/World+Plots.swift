internal import Election

// Directed trouble: sequences that lead to the moments at which a rule matters, and an adversary that strikes there. Blind
// chance needs many thousands of runs for some of them.
extension World {
    func schedulePlots() {
        after(setting.isDirected ? setting.plotInterval : random.within(0...2 * setting.plotInterval)) {
            guard self.isFaulty else { return }
            if self.inject() { self.plot() }
            self.schedulePlots()
        }
    }

    private func plot() {
        if setting.isDirected || random.chance(30) {
            // A cluster without leases has nothing to lose.
            let leading = replicas.filter { $0.isActive && $0.stoppedUntil <= time && !led(by: $0).isEmpty }
            if !leading.isEmpty { direct(random.pick(leading)) }
            return
        }
        guard let active = active(random.below(setting.clusters)) else { return }
        switch random.below(9) {
        case 0, 1, 2: startChain(active)
        case 3: badClocks(active)
        case 4: answersGetLost(active)
        case 5: goesQuiet(active)
        case 6: changesItsMind(active)
        case 7: givesBackBehindWebhooks(active)
        default:
            // Everybody else is cut off for a moment, and comes back when the lease has just run out.
            for replica in replicas where replica.cluster != active.cluster && random.chance(50) {
                cutOff(replica, for: interestingDelay(), random.pick([.requests, .answers, .both]))
            }
            goesQuiet(active)
        }
    }

    func active(_ cluster: Int) -> Replica? {
        replicas.first { $0.cluster == cluster && $0.isActive && $0.stoppedUntil <= time }
    }

    private func longest(_ cluster: Int) -> Int64 {
        let seconds = wants[cluster].reduce(12) { longest, aim in
            if case .lead(let seconds) = aim { max(longest, seconds) } else { longest }
        }
        return Int64(seconds) * second
    }

    /// A length that ends around `base`.
    private func around(_ base: Int64) -> Int64 { max(0, base + random.within(-2 * second...2 * second)) }

    // MARK: Chains of successors

    /// The active incarnation is paused or cut off inside its window, and others of its cluster come and go meanwhile.
    private func startChain(_ active: Replica) {
        let lease = longest(active.cluster)
        let length = random.chance(50) ? around(lease) : random.within(0...lease * 3 / 2)
        switch random.below(5) {
        case 0: holdUp(active, for: length)
        case 1: stop(active, for: length)
        case 2: cutOff(active, for: length, .answers)
        default: cutOff(active, for: length, .both)
        }
        for other in replicas where other.cluster == active.cluster && other !== active {
            wake(other)
            other.link.downUntil = 0
            // Takes over after the time of a standby, sooner than the window ends if that is long.
            start(other)
        }
        if random.chance(40) {
            after(random.within(0...length)) {
                if self.isFaulty && self.inject() { self.changeWish(of: active.cluster) }
            }
        }
    }

    /// Whoever has just taken over soon does something that its predecessors do not know of.
    func tookOver(_ replica: Replica) {
        if isFaulty, let action = onTakeOver.removeValue(forKey: replica.cluster) { return action(replica) }
        guard isFaulty, !setting.isDirected, random.chance(50), inject() else { return }
        let run = replica.run
        after([0, random.within(0...2 * second), random.within(0...2 * second), interestingDelay()][random.below(4)]) {
            guard self.isFaulty, replica.run == run else { return }
            switch self.random.below(8) {
            case 0, 1: self.leave(replica, .release)
            case 2, 3: self.leave(replica, .handover)
            case 4:
                self.kill(replica)
                self.after(self.random.within(0...second)) { self.start(replica) }
            case 5:
                for index in self.setting.namespaces.indices { self.setWish(replica.cluster, index, .forget) }
                self.after(self.interestingDelay()) {
                    for index in self.setting.namespaces.indices {
                        self.setWish(replica.cluster, index, .lead(seconds: self.random.pick(self.setting.durations)))
                    }
                }
            case 6:
                let shortest = self.setting.durations.min() ?? 15
                for index in self.setting.namespaces.indices {
                    self.setWish(replica.cluster, index, .lead(seconds: shortest))
                }
            default: self.cutOff(replica, for: self.interestingDelay(), self.random.pick([.both, .answers]))
            }
            for other in self.replicas
            where other.cluster == replica.cluster && other !== replica && self.random.chance(30) {
                self.wake(other)
            }
        }
    }

    // MARK: Silence

    /// No heartbeat lands for about a lease, and the clocks of both sides are as wrong as they may be.
    private func badClocks(_ active: Replica) {
        let lease = longest(active.cluster)
        slew(active.agent, -0.08)
        for other in replicas where other.cluster != active.cluster { slew(other.agent, 0.08) }
        for webhook in webhooks { slew(webhook.agent, webhook.cluster == active.cluster ? -0.08 : 0.08) }
        if random.chance(50) { stepClock(active.agent, by: -random.within(0...lease)) }
        for other in replicas where other.cluster != active.cluster && random.chance(30) {
            stepClock(other.agent, by: random.within(0...lease))
        }
        cutOff(active, for: around(lease * 5 / 4), .both)
        after(2 * lease) {
            for replica in self.replicas where self.isFaulty { self.slew(replica.agent, 0) }
        }
    }

    /// Writes land, but their answers are lost until the window has ended.
    private func answersGetLost(_ active: Replica) {
        cutOff(active, for: around(longest(active.cluster)), .answers)
    }

    /// The whole cluster is paused or cut off, and goes on when somebody else is about to take its leases.
    private func goesQuiet(_ active: Replica) {
        let lease = longest(active.cluster)
        for replica in replicas where replica.cluster == active.cluster {
            switch random.below(3) {
            case 0: stop(replica, for: around(lease))
            case 1: holdUp(replica, for: around(lease))
            default: cutOff(replica, for: around(lease), random.pick([.both, .requests, .answers, .nothing]))
            }
        }
    }

    // MARK: Changes

    /// A lease duration changes, and the answers are lost, or the controller goes, before that is done.
    private func changesItsMind(_ active: Replica) {
        let index = random.below(setting.namespaces.count)
        let sorted = setting.durations.sorted()
        setWish(active.cluster, index, .lead(seconds: sorted[sorted.count - 1]))
        after(random.within(4 * second...12 * second)) {
            guard self.isFaulty else { return }
            if self.random.chance(40) {
                self.cutOff(active, for: self.random.within(0...8 * second), self.random.pick([.answers, .requests]))
            }
            self.setWish(active.cluster, index, .lead(seconds: sorted[0]))
            self.after(self.random.within(0...5 * second)) {
                guard self.isFaulty else { return }
                switch self.random.below(4) {
                case 0: self.startChain(active)
                case 1: self.goesQuiet(active)
                case 2: self.setWish(active.cluster, index, .lead(seconds: sorted[sorted.count - 1]))
                default: self.cutOff(active, for: self.around(Int64(sorted[0]) * second), .both)
                }
            }
        }
    }

    /// A lease is given back while a webhook has just been granted it.
    private func givesBackBehindWebhooks(_ active: Replica) {
        for webhook in webhooks where webhook.cluster == active.cluster && random.chance(50) {
            stop(webhook, for: random.within(0...3 * second))
        }
        switch random.below(3) {
        case 0: leave(active, .release)
        case 1: prefer(random.below(setting.namespaces.count), random.below(setting.clusters))
        default: setWish(active.cluster, random.below(setting.namespaces.count), .forget)
        }
    }

    // MARK: The adversary

    /// Strikes at the moments that decide: when a taker has read and is about to write, when a record is freed, when a
    /// heartbeat is on its way.
    func adversary(_ operation: Request.Operation, by replica: Replica, _ way: inout Way) {
        guard !setting.isDirected else { return }
        switch operation {
        case .write(.lease(let namespace), _, .some):
            guard random.chance(40), inject() else { return }
            if let object = store[.lease(namespace)], let record = try? LeaseRecord(parsing: object.body),
                !record.isFree,
                record.holderIdentity != "c\(replica.cluster)"
            {
                // The taker's claim takes its time, and the holder comes back.
                way.in = random.within(0...2500 * millisecond)
                comeBack(record.holderIdentity, within: way.in! + second)
            } else if random.chance(30) {
                way.in = random.chance(50) ? random.within(0...3 * second) : interestingDelay()
                if random.chance(50) { stop(replica, for: interestingDelay()) }
            } else if random.chance(20) {
                way.out = nil
            }
        case .read(.member(let name)) where name != "c\(replica.cluster)" && name != "~notice":
            // The taker's decisive read: its answer takes its time, or the taker does.
            guard random.chance(30), inject() else { return }
            if random.chance(50) {
                way.out = random.within(0...2500 * millisecond)
            } else {
                holdUp(replica, for: random.within(0...3 * second))
            }
            comeBack(name, within: 3 * second)
        case .read(.member), .list(.members):
            guard random.chance(setting.trouble), inject() else { return }
            way.out = random.within(0...2900 * millisecond)
        case .write(.member, _, _):
            guard random.chance(setting.trouble / 2), inject() else { return }
            switch random.below(4) {
            case 0: way.in = random.within(0...2900 * millisecond)
            case 1: way.out = random.within(0...2900 * millisecond)
            case 2: way.in = interestingDelay()
            default: stop(replica, for: around(longest(replica.cluster)))
            }
        case .write, .read, .list: break
        }
    }

    /// A cluster's processes go on, and its links are up, some time within the given length.
    private func comeBack(_ cluster: String, within length: Int64) {
        for replica in replicas where "c\(replica.cluster)" == cluster && random.chance(80) {
            after(random.within(0...length)) {
                replica.link.downUntil = min(replica.link.downUntil, self.time)
                self.wake(replica)
            }
        }
    }
}
