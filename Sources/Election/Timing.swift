/// The durations of the protocol, and what follows from them and the clock-rate bound rho.
package struct Timing: Hashable, Sendable {
    /// R: the time between two heartbeats.
    package var renewInterval: Duration = .seconds(3)
    /// The time between two lists of the members.
    package var pollInterval: Duration = .seconds(3)
    /// After which a store request counts as unclear; at most one renew interval.
    package var requestTimeout: Duration = .seconds(3)
    /// G: after a webhook asked its controller, the time within which everything that follows from the answer has
    /// happened, the API server's write included. The webhook itself may act for G less the commit margin.
    package var grantDuration: Duration = .seconds(3)
    /// Kept free at the end of every window for the API server's write after the admission.
    package var commitMargin: Duration = .seconds(2)
    /// The time between two lists of the leases when nothing asks for one.
    package var relistInterval: Duration = .seconds(60)
    /// D_limit: the longest lease duration a cluster may use, in seconds.
    package var leaseDurationLimit = 300
    /// rho: how far a clock's rate may be from true time, in parts per million. 0 to 100,000.
    package var rho = 10_000

    package init() {}

    /// The lease durations that records may carry, in seconds; others are clamped when read.
    package static let recordedDurations = 1...86_400

    /// So many millionths of so many seconds, at most some days: exact, and without the 128-bit arithmetic of `Duration`.
    private static func share(_ partsPerMillion: Int, ofSeconds seconds: Int) -> Duration {
        .nanoseconds(Int64(seconds) * 1_000 * Int64(partsPerMillion))
    }

    /// D·(1−rho): how long a holder's window lasts after the reading before its heartbeat was sent.
    package func window(ofSeconds seconds: Int) -> Duration {
        Self.share(1_000_000 - (Rule.clockRatesAreBounded.isKept ? rho : 0), ofSeconds: seconds)
    }

    /// D·(1+rho): how long another cluster's silence must last.
    package func staleness(ofSeconds seconds: Int) -> Duration {
        Self.share(1_000_000 + (Rule.clockRatesAreBounded.isKept ? rho : 0), ofSeconds: seconds)
    }

    /// G·(1+2·rho): after which no webhook acts any more on a grant given before.
    package var grantsEnd: Duration {
        grantDuration * (1_000_000 + 2 * rho) / 1_000_000
    }

    /// q·(1+2·rho): after which nothing that an earlier incarnation may still do can happen.
    package func inheritedWait(ofSeconds quiet: Int) -> Duration {
        Self.share(1_000_000 + 2 * rho, ofSeconds: quiet)
    }

    /// The larger of D·(1+rho) and G·(1+2·rho): before a record of an earlier incarnation may be freed.
    package func freeingWait(ofSeconds seconds: Int) -> Duration {
        max(staleness(ofSeconds: seconds), grantsEnd)
    }

    /// (D + two re-list periods)·(1+rho): before a lease record that somebody deleted is made again.
    package func deletionWait(ofSeconds seconds: Int) -> Duration {
        (.seconds(seconds) + relistInterval * 2) * (1_000_000 + rho) / 1_000_000
    }

    /// The wait before a failed store request is tried again.
    package var retryInterval: Duration { renewInterval / 3 }

    /// How often leases are listed while a planned handover is under way, so that its two steps add little to the wait for
    /// the grants.
    package var handoverInterval: Duration { grantDuration / 20 }

    /// For how long a standby sees an unchanged record before it takes over.
    ///
    /// - Parameter takeovers: how many of this process's incarnations took over since one of them was active for
    ///   ``steadyTime``; each doubles the wait, so that two replicas cannot depose each other for ever.
    package func standbyTakeover(after takeovers: Int) -> Duration {
        max(renewInterval * 3, requestTimeout + .seconds(2)) * (1 << min(max(takeovers, 0), 10))
    }

    /// For how long an incarnation is active before take-overs before that are forgotten: a process that was deposed ten
    /// times in a year would stand by for hours when it is needed.
    package var steadyTime: Duration { .seconds(3600) }

    /// Why a namespace with this lease duration cannot be competed for; nil when it can.
    package func refusal(ofSeconds seconds: Int) -> String? {
        if seconds > min(leaseDurationLimit, Self.recordedDurations.upperBound) {
            return "a lease duration of \(seconds) s is above the limit of \(leaseDurationLimit) s"
        }
        if seconds < Self.recordedDurations.lowerBound {
            return "a lease duration of \(seconds) s is below the least, 1 s"
        }
        let window = window(ofSeconds: seconds)
        if window <= grantsEnd {
            return "a lease duration of \(seconds) s leaves a window of \(window), which must be longer than "
                + "the grants, \(grantsEnd)"
        }
        let needed = commitMargin + renewInterval * 2 + requestTimeout
        if window <= needed {
            return
                "a lease duration of \(seconds) s leaves a window of \(window), which must be longer than the commit "
                + "margin, two renew intervals and the request time-out together, \(needed)"
        }
        return nil
    }

    /// What is wrong with these durations among themselves; nil when nothing is.
    package var problem: String? {
        let all: [(String, Duration)] = [
            ("renew interval", renewInterval), ("poll interval", pollInterval), ("request time-out", requestTimeout),
            ("grant duration", grantDuration), ("re-list interval", relistInterval),
        ]
        for (name, value) in all where value < .milliseconds(10) || value > .seconds(86_400) {
            return "the \(name) is \(value), which must be from 10 ms to 1 day"
        }
        if commitMargin < .zero || commitMargin > .seconds(86_400) {
            return "the commit margin is \(commitMargin), which must be from 0 to 1 day"
        }
        if commitMargin >= grantDuration {
            return "the commit margin is \(commitMargin), which must be less than the grant duration, \(grantDuration)"
        }
        if requestTimeout > renewInterval {
            return
                "the request time-out is \(requestTimeout), which must be at most one renew interval, \(renewInterval)"
        }
        if !Self.recordedDurations.contains(leaseDurationLimit) {
            return "the limit of lease durations is \(leaseDurationLimit) s, which must be from 1 s to 1 day"
        }
        if !(0...100_000).contains(rho) {
            return "rho is \(rho) parts per million, which must be from 0 to 100,000"
        }
        return nil
    }
}

extension Duration {
    /// Whole seconds, rounded up.
    package var secondsRoundedUp: Int {
        Int(clamping: components.seconds) + (components.attoseconds > 0 ? 1 : 0)
    }

    /// Nanoseconds, rounded down and saturating.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, sumOverflow) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return sumOverflow ? (seconds < 0 ? .min : .max) : sum
    }
}
