internal import Platform

/// What must hold of every admission and of every write, whatever was broken.
extension Ledger.State {
    /// Beyond which violations are only counted.
    private static let violationsMax = 100
    /// Admissions that are further apart are not one stretch.
    private static let gapMin = Duration.milliseconds(600)

    mutating func report(_ text: String) {
        if violations.count < Self.violationsMax {
            violations.append(Ledger.Violation(time: .now, text: text))
        } else {
            more += 1
        }
    }

    // MARK: - The store

    /// Terms only grow, with every claim; and when a claim lands, or a free record, no other cluster admits any more.
    mutating func land(_ landing: Ledger.Landing, in namespace: String) {
        if let last = landings[namespace]?.last {
            let isClaim = !landing.holder.isEmpty && (landing.term != last.term || landing.holder != last.holder)
            if landing.term < last.term || isClaim && landing.term == last.term {
                report("the lease of \(namespace): \(landing) was written after \(last)")
            }
        }
        landings[namespace, default: []].append(landing)
        for tenure in tenures[namespace] ?? []
        where tenure.cluster != landing.holder && tenure.last.sent > landing.seen {
            report("\(tenure.last) though the store had \(landing) before")
        }
    }

    /// An admission rests on a lease record that was in the store, and that no other had followed when the question left.
    mutating func check(_ admission: Ledger.Admission) {
        guard seesStore else { return }
        let landings = landings[admission.namespace] ?? []
        guard
            let claim = landings.firstIndex(where: { $0.holder == admission.cluster && $0.term == admission.term })
        else { return report("\(admission), which is no lease of its own in the store") }
        let next = landings[claim...].first { $0.holder != admission.cluster }
        if let next, admission.sent > next.seen { report("\(admission) though the store had \(next) before") }
    }

    // MARK: - Admissions among each other

    /// Compares it with all others, and keeps what is needed to compare later ones with it.
    mutating func enter(_ admission: Ledger.Admission) {
        var tenures = tenures[admission.namespace] ?? []
        for other in tenures where other.term != admission.term || other.cluster != admission.cluster {
            if let problem = Self.problem(admission, other) { report(problem) }
        }
        if let index = tenures.firstIndex(where: { $0.term == admission.term && $0.cluster == admission.cluster }) {
            tenures[index].add(admission, gapMin: Self.gapMin)
        } else {
            let index = tenures.firstIndex { $0.term > admission.term } ?? tenures.endIndex
            tenures.insert(Ledger.Tenure(admission), at: index)
        }
        self.tenures[admission.namespace] = tenures
    }

    /// Who leads later has the larger term, and nobody else admits again; a webhook itself never goes back to a smaller
    /// one. Two webhooks of a cluster may differ for the time of a grant.
    private static func problem(_ admission: Ledger.Admission, _ other: Ledger.Tenure) -> String? {
        if other.term == admission.term { return "\(admission), with the term of another cluster: \(other.first)" }
        let (first, last): (Ledger.Admission, Ledger.Admission)
        if other.cluster != admission.cluster {
            (first, last) = (other.first, other.last)
        } else if let ends = other.doors[admission.door] {
            (first, last) = (ends.first, ends.last)
        } else {
            return nil
        }
        if other.term > admission.term, first.received < admission.sent { return "\(admission), after \(first)" }
        if other.term < admission.term, last.sent > admission.received { return "\(last), after \(admission)" }
        return nil
    }
}

extension Ledger.Tenure {
    init(_ admission: Ledger.Admission) {
        self.init(
            namespace: admission.namespace, cluster: admission.cluster, term: admission.term, first: admission,
            last: admission, doors: [admission.door: Ledger.Ends(first: admission, last: admission)],
            stretches: [Ledger.Stretch(start: admission.sent, end: admission.sent)], count: 1)
    }

    mutating func add(_ admission: Ledger.Admission, gapMin: Duration) {
        count += 1
        if admission.received < first.received { first = admission }
        if admission.sent > last.sent { last = admission }
        var ends = doors[admission.door] ?? Ledger.Ends(first: admission, last: admission)
        if admission.received < ends.first.received { ends.first = admission }
        if admission.sent > ends.last.sent { ends.last = admission }
        doors[admission.door] = ends
        // Nobody knows when a question that had to wait was admitted.
        guard admission.received - admission.sent <= gapMin else { return }
        let end = stretches.count - 1
        if admission.sent - stretches[end].end <= gapMin {
            stretches[end].start = min(stretches[end].start, admission.sent)
            stretches[end].end = max(stretches[end].end, admission.sent)
        } else {
            stretches.append(Ledger.Stretch(start: admission.sent, end: admission.sent))
        }
    }
}

extension Ledger.Admission: CustomStringConvertible {
    var description: String {
        "\(door) admitted in \(namespace) with term \(term), asked at \(sent.ofRun) and answered at \(received.ofRun)"
    }
}

extension Ledger.Landing: CustomStringConvertible {
    var description: String {
        "\(holder.isEmpty ? "nobody" : holder) with term \(term), seen at \(seen.ofRun)"
    }
}

extension ContinuousClock.Instant {
    /// What ``ofRun`` counts from: about the begin of this program, or of its first run.
    static let origin = ContinuousClock.now

    /// Since ``origin``, such as `12.345 s`.
    var ofRun: String {
        let milliseconds = Int64((self - Self.origin) / .milliseconds(1))
        let rest = "\(1000 + milliseconds.magnitude % 1000)".dropFirst()
        return "\(milliseconds < 0 ? "-" : "")\(milliseconds.magnitude / 1000).\(rest) s"
    }
}
