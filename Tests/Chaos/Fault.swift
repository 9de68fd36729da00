/// Something that is broken on purpose, and for how long.
struct Fault: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// SIGSTOP, then SIGCONT.
        case freeze(Part)
        /// SIGKILL, then a new start.
        case kill(Part)
        /// SIGTERM, then a new start.
        case leave(Part)
        /// Nothing gets through, and nothing is refused.
        case partition(ChaosCluster.Link, Ways)
        case slow(ChaosCluster.Link)
        case lossy(ChaosCluster.Link)
        /// Every connection breaks, once.
        case reset(ChaosCluster.Link)
        /// The store fails, for this cluster or for all.
        case outage(Outage, all: Bool)
        /// A step of the wall clock, which stays.
        case jump(Part, seconds: Int)
        /// A planned handover to the cluster.
        case transfer(namespace: Int)
        /// The API server of the first cluster is killed and started again, or stopped in its tracks.
        case apiServer(isKilled: Bool)
    }

    /// Which of a cluster's processes.
    enum Part: String, Hashable, Sendable, CaseIterable {
        case everything
        case activeController = "active controller"
        case controllers
        case webhook = "one webhook"
        case webhooks
    }

    enum Ways: String, Hashable, Sendable, CaseIterable {
        case both = "both ways"
        case requests = "requests"
        case answers = "answers"
    }

    enum Outage: String, Hashable, Sendable, CaseIterable {
        case down = "refuses connections"
        case unavailable = "503"
        /// Nevertheless the write has taken effect.
        case unavailableButDone = "503 after acting"
        case tooMany = "429"
        case hangs = "hangs"
        /// The write has taken effect.
        case answersLost = "loses answers"
    }

    /// Resolved when the fault begins.
    enum Victim: Hashable, Sendable {
        /// The leader of a namespace.
        case leader(of: Int)
        case cluster(Int)
    }

    let kind: Kind
    let victim: Victim
    /// After the begin of its round.
    let delay: Duration
    /// Until it is mended.
    let length: Duration
}

extension Fault {
    /// The row of the report's table that a failover by this fault alone belongs to.
    var label: String {
        switch kind {
        case .freeze(let part): "stop \(part.rawValue)"
        case .kill(let part): "kill \(part.rawValue)"
        case .leave(let part): "leave \(part.rawValue)"
        case .partition(let link, let ways): "cut off from \(link.rawValue), \(ways.rawValue)"
        case .slow(let link): "slow way to \(link.rawValue)"
        case .lossy(let link): "lossy way to \(link.rawValue)"
        case .reset(let link): "reset from \(link.rawValue)"
        case .outage(let outage, let all): "store \(outage.rawValue)\(all ? ", for all" : "")"
        case .jump(let part, _): "clock jump, \(part.rawValue)"
        case .transfer: "planned transfer"
        case .apiServer(isKilled: true): "API server killed"
        case .apiServer(isKilled: false): "API server stopped"
        }
    }

    /// Whether other clusters can take over while it lasts, so that the bound of a failover holds.
    var leavesOthersWhole: Bool {
        if case .outage(_, all: true) = kind { false } else { true }
    }

    /// Whether it concerns all clusters.
    var isOfStore: Bool { !leavesOthersWhole }
}

extension Fault: CustomStringConvertible {
    var description: String {
        let whom =
            switch victim {
            case .leader(let namespace): "the leader of \(ChaosSettings.namespaces[namespace])"
            case .cluster(let cluster): (ChaosSettings.clusters + ChaosSettings.fileClusters)[cluster]
            }
        let what =
            switch kind {
            case .jump(_, let seconds): "\(label) of \(seconds) s for \(whom)"
            case .transfer(let namespace): "\(label) of \(ChaosSettings.namespaces[namespace]) to \(whom)"
            case .reset: "\(label) for \(whom)"
            case .outage(_, all: true): "\(label) for \(length.short)"
            default: "\(label), \(whom), for \(length.short)"
            }
        return delay == .zero ? what : "\(what), after \(delay.short)"
    }
}

extension Duration {
    /// Such as `7.4 s`.
    var short: String {
        let tenths = Int64((self / .milliseconds(100)).rounded())
        return "\(tenths < 0 ? "-" : "")\(tenths.magnitude / 10).\(tenths.magnitude % 10) s"
    }
}
