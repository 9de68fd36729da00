internal import Election

// Sequences that need several things in one order: each is the shortest way into the hole that one rule closes. Chance
// finds them too rarely.
extension World {
    /// - Parameter active: an active replica of the cluster that gets into trouble.
    func direct(_ active: Replica) {
        switch random.below(12) {
        case 0: failsOverAtTheLimit(active)
        case 1: landsLateAndIsReadBackSlowly(active)
        case 2: forgetsWhatItDeclared(active)
        case 3: claimsBeforeItDeclares(active)
        case 4: jumpsAheadAndGivesBack(active)
        case 5: shortensAtTheLastMoment(active)
        case 6: successorShortensAndDies(active)
        case 7: handsOverToWhoStops(active)
        case 8: losesItsRecord(active)
        case 9: shortensUnheard(active)
        case 10: sleepsWithSlowClocks(active)
        default: comesBackBetweenTwoPolls(active.cluster)
        }
    }

    private func replicas(of cluster: Int) -> [Replica] { replicas.filter { $0.cluster == cluster } }

    /// The namespaces that a replica leads.
    func led(by replica: Replica) -> [Int] {
        guard let table = replica.board else { return [] }
        return setting.namespaces.indices.filter { index in
            table.index.slot(of: setting.namespaces[index]).map { table.entries[$0].state == .own } ?? false
        }
    }

    private var shortest: Int { setting.durations.min() ?? 15 }
    private var longest: Int { setting.durations.max() ?? 15 }

    /// A replica's heartbeats, and only those, are lost for a while.
    private func muteHeartbeats(of replica: Replica, for length: Int64) {
        let until = time + length
        replica.script = { operation, way in
            if case .write(.member, _, _) = operation { way.in = nil }
            return self.time >= until
        }
    }

    /// Nothing is wrong but one outage, as long as it takes: whether the arithmetic of the clocks is exact shows here.
    private func failsOverAtTheLimit(_ active: Replica) {
        for index in setting.namespaces.indices { setWish(active.cluster, index, .lead(seconds: longest)) }
        after(15 * second) {
            guard self.isFaulty else { return }
            for replica in self.replicas(of: active.cluster) {
                self.cutOff(replica, for: Int64(self.longest) * second * 3 / 2, .requests)
            }
        }
    }

    /// For one half of its window the holder's clocks are slewed to run slow, for the other its machine is suspended.
    private func sleepsWithSlowClocks(_ active: Replica) {
        for index in setting.namespaces.indices { setWish(active.cluster, index, .lead(seconds: longest)) }
        after(15 * second) {
            guard self.isFaulty else { return }
            let lease = Int64(self.longest) * second
            self.slew(active.agent, -0.08)
            for replica in self.replicas(of: active.cluster) { self.cutOff(replica, for: lease * 3 / 2, .requests) }
            self.after(lease / 2) { self.stop(active, for: lease * 45 / 100, suspending: true) }
            self.after(lease * 3 / 2) { self.slew(active.agent, 0) }
        }
    }

    /// A heartbeat lands when its client has given up, the read-back just misses it and is slow, and nothing lands after
    /// the second try: which try was it, and when was it sent?
    private func landsLateAndIsReadBackSlowly(_ active: Replica) {
        var stage = 0
        let timeout = timing.requestTimeout.nanoseconds
        let late = timeout + random.within(50 * millisecond...800 * millisecond)
        let slow = random.within(timeout / 2...timeout - 50 * millisecond)
        active.script = { operation, way in
            switch (stage, operation) {
            case (0, .write(.member, _, _)): way = Way(in: late, out: nil)
            case (1, .read(.member)): way = Way(in: millisecond, out: slow)
            case (2, .write(.member, _, _)): way = Way(in: millisecond, out: millisecond)
            case (3, .read(.member)):
                way = Way(in: millisecond, out: millisecond)
                for replica in self.replicas(of: active.cluster) {
                    self.after(20 * millisecond) {
                        self.cutOff(replica, for: Int64(self.longest) * 2 * second, .requests)
                    }
                }
            default: return false
            }
            stage += 1
            return stage == 4
        }
    }

    /// A heartbeat that declares a shorter time lands, its answer is lost, and the duration is a long one again.
    private func forgetsWhatItDeclared(_ active: Replica) {
        guard setting.replicas > 1, longest > shortest else { return }
        let cluster = active.cluster
        for index in setting.namespaces.indices { setWish(cluster, index, .lead(seconds: longest)) }
        after(12 * second) {
            guard self.isFaulty else { return }
            for index in self.setting.namespaces.indices { self.setWish(cluster, index, .lead(seconds: self.shortest)) }
            var declared = false
            active.script = { operation, way in
                switch operation {
                case .write(.member(let name), let body, _):
                    guard let record = try? MemberRecord(parsing: body, ofCluster: name) else { return false }
                    if declared {
                        way.in = nil
                    } else if record.quietSeconds == self.shortest {
                        declared = true
                        way = Way(in: millisecond, out: nil)
                        self.after(second) {
                            for index in self.setting.namespaces.indices {
                                self.setWish(cluster, index, .lead(seconds: self.longest))
                            }
                        }
                        self.onTakeOver[cluster] = { self.leave($0, .release) }
                    }
                case .read(.member) where declared: way.in = nil
                default: break
                }
                return active.board?.isActive != true
            }
        }
    }

    /// A longer duration is wished for, and from then on no heartbeat lands.
    private func claimsBeforeItDeclares(_ active: Replica) {
        guard setting.replicas > 1, longest > shortest else { return }
        for index in setting.namespaces.indices { setWish(active.cluster, index, .lead(seconds: shortest)) }
        after(15 * second) {
            guard self.isFaulty else { return }
            self.muteHeartbeats(of: active, for: Int64(self.longest) * second)
            for index in self.setting.namespaces.indices {
                self.setWish(active.cluster, index, .lead(seconds: self.longest))
            }
            self.onTakeOver[active.cluster] = { self.leave($0, .release) }
        }
    }

    /// The wall clock jumps, which ends the window at once, and the lease is not wanted any more.
    private func jumpsAheadAndGivesBack(_ active: Replica) {
        stepClock(active.agent, by: Int64(longest) * second)
        for index in led(by: active) { setWish(active.cluster, index, .forget) }
        after(30 * second) {
            for index in self.setting.namespaces.indices {
                self.setWish(active.cluster, index, .lead(seconds: self.random.pick(self.setting.durations)))
            }
        }
    }

    /// Heartbeats have long been missing when the duration is shortened to what has almost passed.
    private func shortensAtTheLastMoment(_ active: Replica) {
        guard longest > shortest else { return }
        for index in setting.namespaces.indices { setWish(active.cluster, index, .lead(seconds: longest)) }
        let wait = Int64(shortest) * second / 100 * 99 - random.within(30 * millisecond...1200 * millisecond)
        after(15 * second) {
            guard self.isFaulty else { return }
            var isMuted = false
            active.script = { operation, way in
                guard case .write(.member, _, _) = operation else { return active.board?.isActive != true }
                if isMuted {
                    way.in = nil
                } else {
                    isMuted = true
                    way = Way(in: millisecond, out: millisecond)
                    for other in self.replicas(of: active.cluster) where other !== active { self.kill(other) }
                    self.after(wait) {
                        for index in self.led(by: active) {
                            self.setWish(active.cluster, index, .lead(seconds: self.shortest))
                        }
                        self.after(self.random.within(20 * millisecond...200 * millisecond)) {
                            _ = self.land(
                                .notice, Array("\(self.store.lastVersion)".utf8), self.store[.notice]?.version)
                            for other in self.replicas where other.cluster != active.cluster {
                                self.deliver(.noticed, to: other)
                            }
                        }
                    }
                }
                return false
            }
        }
    }

    /// The active one is cut off inside a long window; its successor wishes for a short one, and is cut off, too.
    private func successorShortensAndDies(_ active: Replica) {
        guard setting.replicas > 1, longest > shortest else { return }
        let cluster = active.cluster
        for index in setting.namespaces.indices { setWish(cluster, index, .lead(seconds: longest)) }
        after(15 * second) {
            guard self.isFaulty else { return }
            self.cutOff(active, for: Int64(self.longest) * second, .both)
            for index in self.led(by: active) {
                self.setWish(cluster, index, .lead(seconds: self.shortest), butOf: active)
            }
            self.onTakeOver[cluster] = { successor in
                self.after(self.random.within(200 * millisecond...1500 * millisecond)) {
                    self.cutOff(successor, for: Int64(self.longest) * second, .both)
                }
            }
        }
    }

    /// The active one hands over to one that gives everything back at once, while webhooks still act on its grants.
    private func handsOverToWhoStops(_ active: Replica) {
        onTakeOver[active.cluster] = { self.leave($0, .release) }
        leave(active, .handover)
    }

    /// A shorter duration lands, nobody hears of it, and no heartbeat lands from then on.
    private func shortensUnheard(_ active: Replica) {
        guard longest > shortest else { return }
        for index in setting.namespaces.indices { setWish(active.cluster, index, .lead(seconds: longest)) }
        after(12 * second) {
            guard self.isFaulty else { return }
            for index in self.led(by: active) { self.setWish(active.cluster, index, .lead(seconds: self.shortest)) }
            active.script = { operation, way in
                guard case .write(.lease, _, .some) = operation else { return false }
                way = Way(in: millisecond, out: nil)
                for replica in self.replicas(of: active.cluster) {
                    self.after(2 * millisecond) { self.cutOff(replica, for: Int64(self.longest) * second, .requests) }
                }
                return true
            }
        }
    }

    /// Somebody deletes a lease record under its holder.
    private func losesItsRecord(_ active: Replica) {
        guard let index = led(by: active).first else { return }
        for other in wants.indices { setWish(other, index, .lead(seconds: longest)) }
        after(10 * second) { if self.isFaulty { self.deleteLease(index) } }
    }

    /// A cluster whose member record has been missing for long creates it, claims a lease, and the record is deleted again
    /// before anybody has looked.
    private func comesBackBetweenTwoPolls(_ cluster: Int) {
        let index = random.below(setting.namespaces.count)
        let name = "c\(cluster)"
        for other in wants.indices { setWish(other, index, .forget) }
        after(9 * second) {
            guard self.isFaulty, self.time >= self.startsBarredUntil else { return }
            for replica in self.replicas(of: cluster) { self.kill(replica) }
            self.deleteMember(cluster)
            self.wants[cluster][index] = .lead(seconds: self.longest)
            guard let first = self.replicas(of: cluster).first else { return }
            self.after(Int64(self.longest + 4) * second) {
                guard self.isFaulty else { return }
                first.link.downUntil = 0
                first.script = { operation, way in
                    way = Way(in: millisecond, out: millisecond)
                    guard case .write(.lease(self.setting.namespaces[index]), _, _) = operation else { return false }
                    self.after(5 * millisecond) {
                        self.store.delete(.member(name))
                        self.trace(nil, "administrator", .fault("deletes members/\(name)"))
                        for other in self.wants.indices where other != cluster {
                            self.setWish(other, index, .lead(seconds: self.longest))
                        }
                    }
                    return true
                }
                self.start(first)
            }
        }
    }
}
