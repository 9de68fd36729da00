internal import Support

/// The faults of a run, round by round; between two rounds everything is mended and must recover.
struct Schedule {
    struct Round: Hashable, Sendable {
        let number: Int
        /// One alone, by which failovers can be measured, or several at once.
        let faults: [Fault]
        /// Between the recovery and the next round.
        let calm: Duration

        /// nil: several at once.
        var single: Fault? { faults.count == 1 ? faults[0] : nil }
    }

    private var random: SeededRandom
    private var rounds = 0
    /// Single faults that are still to come, so that each kind has its turn.
    private var singles: [Fault.Kind] = []
    private let soak: Soak.Plan?
    /// Of a soak, that are still to come.
    private var gentle: [(Fault.Kind, Fault.Victim)] = []

    /// - Parameter soak: nil: chaos.
    init(seed: UInt64, soak: Soak.Plan? = nil) {
        random = SeededRandom(seed: seed)
        self.soak = soak
    }

    mutating func next() -> Round {
        rounds += 1
        if let soak {
            if gentle.isEmpty { gentle = gentleFaults(soak) }
            let (kind, victim) = gentle.removeLast()
            let fault = Fault(kind: kind, victim: victim, delay: .zero, length: length())
            return Round(number: rounds, faults: [fault], calm: .seconds(1))
        }
        let isStorm = rounds % 3 == 0
        let faults = isStorm ? storm() : [fault(nextSingle(), delay: .zero)]
        return Round(number: rounds, faults: faults, calm: .milliseconds(500 + random.below(2000)))
    }

    /// All kinds in an order of their own, over and over; those that take a leader away more often.
    private mutating func nextSingle() -> Fault.Kind {
        if singles.isEmpty {
            singles =
                Fault.Part.allCases.flatMap { [.freeze($0), .kill($0), .leave($0)] }
                + ChaosCluster.Link.allCases.flatMap { link in
                    Fault.Ways.allCases.map { .partition(link, $0) } + [.slow(link), .lossy(link), .reset(link)]
                }
                + Fault.Outage.allCases.flatMap { [.outage($0, all: false), .outage($0, all: true)] }
                + Fault.Part.allCases.map { jump($0) } + [.transfer(namespace: namespace())]
                + [.kill(.everything), .kill(.controllers), .freeze(.everything), .partition(.store, .both)]
            for index in singles.indices.reversed() { singles.swapAt(index, random.below(index + 1)) }
        }
        return singles.removeLast()
    }

    /// Each once: what a process must survive. Only the last cluster's are ended: what the others use is compared over the
    /// whole run.
    private mutating func gentleFaults(_ soak: Soak.Plan) -> [(Fault.Kind, Fault.Victim)] {
        let last = ChaosSettings.clusters.count - 1
        var faults: [(Fault.Kind, Fault.Victim)] =
            Fault.Part.allCases.flatMap { [(.kill($0), .cluster(last)), (.leave($0), .cluster(last))] }
            + ChaosSettings.fileClusters.indices.map { (.freeze(.everything), .cluster(last + 1 + $0)) }
        let kinds: [Fault.Kind] =
            Fault.Part.allCases.map { .freeze($0) }
            + ChaosCluster.Link.allCases.flatMap { link in
                Fault.Ways.allCases.map { .partition(link, $0) } + [.slow(link), .lossy(link), .reset(link)]
            }
            + Fault.Outage.allCases.flatMap { [.outage($0, all: false), .outage($0, all: true)] }
        faults += kinds.map { ($0, .cluster(random.below(last))) }
        faults += (0..<6).map { (.transfer(namespace: namespace()), .cluster($0 % ChaosSettings.clusters.count)) }
        if soak.hasAPIServer {
            faults += [true, false].map { (.apiServer(isKilled: $0), .cluster(0)) }
        }
        for index in faults.indices.reversed() { faults.swapAt(index, random.below(index + 1)) }
        return faults
    }

    /// Two to five faults that overlap, of different victims or the same.
    private mutating func storm() -> [Fault] {
        (0..<2 + random.below(4)).map { index in
            fault(anyKind(), delay: index == 0 ? .zero : .milliseconds(random.below(9000)))
        }
    }

    private mutating func anyKind() -> Fault.Kind {
        switch random.below(12) {
        case 0...2: .freeze(random.pick(Fault.Part.allCases))
        case 3: .kill(random.pick(Fault.Part.allCases))
        case 4: .leave(random.pick(Fault.Part.allCases))
        case 5...6: .partition(random.pick(ChaosCluster.Link.allCases), random.pick(Fault.Ways.allCases))
        case 7: random.chance(50) ? .slow(.store) : .lossy(random.pick(ChaosCluster.Link.allCases))
        case 8: .outage(random.pick(Fault.Outage.allCases), all: random.chance(25))
        case 9: jump(random.pick(Fault.Part.allCases))
        case 10: .transfer(namespace: namespace())
        default: .reset(random.pick(ChaosCluster.Link.allCases))
        }
    }

    private mutating func fault(_ kind: Fault.Kind, delay: Duration) -> Fault {
        let victim: Fault.Victim
        if case .transfer = kind {
            victim = .cluster(random.below(ChaosSettings.clusters.count))
        } else if random.chance(75) {
            victim = .leader(of: namespace())
        } else {
            victim = .cluster(random.below(ChaosSettings.clusters.count))
        }
        return Fault(kind: kind, victim: victim, delay: delay, length: length())
    }

    private mutating func namespace() -> Int { random.below(ChaosSettings.namespaces.count) }

    /// Around where it hurts: a grant, a lease, twice that.
    private mutating func length() -> Duration {
        let middle = random.pick([
            ChaosSettings.grantDuration, ChaosSettings.leaseDuration, ChaosSettings.leaseDuration,
            ChaosSettings.leaseDuration * 2,
        ])
        return middle * (80 + random.below(50)) / 100
    }

    /// Forward and back, from less than a grant to hours; together never far from the truth, as certificates end.
    private mutating func jump(_ part: Fault.Part) -> Fault.Kind {
        let size = random.pick([1, 3, 8, 60, 3600])
        return .jump(part, seconds: random.chance(50) ? size : -size)
    }
}
