internal import Election
private import FoundationEssentials

/// A snapshot of the election as `leasehold status` shows it.
struct StatusReport {
    let snapshot: ElectionSnapshot
    /// The cluster whose leases are called ours; nil: nobody's.
    let cluster: String?
    /// The namespaces to show; empty: all.
    let namespaces: [String]

    private var leases: [ElectionSnapshot.Lease] {
        snapshot.leases.filter { namespaces.isEmpty || namespaces.contains($0.namespace) }
    }

    /// Namespaces that were asked for and have no record.
    private var absent: [String] {
        namespaces.filter { name in !snapshot.leases.contains { $0.namespace == name } }
    }

    // MARK: - For people

    var text: String {
        var remarks: [String] = []
        var text = leasesTable(&remarks) + "\n" + membersTable(&remarks)
        if !remarks.isEmpty { text += "\n" + remarks.map { TextTable.printable($0) + "\n" }.joined() }
        return text
    }

    private func leasesTable(_ remarks: inout [String]) -> String {
        if leases.isEmpty && absent.isEmpty {
            return "No lease records: no cluster has competed for a namespace yet.\n"
        }
        let hasPreferences = leases.contains { (try? $0.record.get())?.preferredHolder != nil }
        let header = ["NAMESPACE", "LEADER", "TERM", "SINCE", "WINDOW LEFT"]
        var table = TextTable(header + (hasPreferences ? ["PREFERRED"] : []) + (cluster == nil ? [] : ["OURS"]))
        func add(_ cells: [String], preferred: String? = nil, ours: Bool = false) {
            table.add(
                cells + (hasPreferences ? [preferred ?? "-"] : []) + (cluster == nil ? [] : [ours ? "yes" : "no"]))
        }
        for lease in leases {
            switch lease.record {
            case .success(let record) where record.isFree:
                add([lease.namespace, "(free)", "\(record.term)", "-", "-"], preferred: record.preferredHolder)
            case .success(let record):
                add(
                    [
                        lease.namespace, record.holderIdentity, "\(record.term)", Self.time(record.acquireTime),
                        Self.text(snapshot.window(of: record)),
                    ],
                    preferred: record.preferredHolder, ours: record.holderIdentity == cluster)
            case .failure(let error):
                add([lease.namespace, "(unreadable)", "-", "-", "-"])
                remarks.append(
                    "leases/\(lease.namespace) is no lease record: \(error). Nobody can lead it until the object is "
                        + "repaired or deleted.")
            }
        }
        for namespace in absent { add([namespace, "(no record)", "-", "-", "-"]) }
        return table.text
    }

    private func membersTable(_ remarks: inout [String]) -> String {
        if snapshot.members.isEmpty { return "No members: no cluster has taken part yet.\n" }
        var table = TextTable(["CLUSTER", "STATE", "RENEWED", "INCARNATION"])
        for member in snapshot.members {
            switch member.record {
            case .success(let record):
                let renewed = renewedAgo(record).map { "~\(Self.seconds($0)) ago" } ?? "-"
                table.add([member.cluster, state(of: record), renewed, String(record.incarnation.prefix(8))])
            case .failure(let error):
                table.add([member.cluster, "(unreadable)", "-", "-"])
                remarks.append("members/\(member.cluster) is no member record: \(error).")
            }
        }
        return table.text
    }

    /// The record's own state, unless it claims to be live and has not been renewed for three renew intervals.
    private func state(of record: MemberRecord) -> String {
        guard record.state == .live, let renewed = renewedAgo(record),
            Double(renewed) > record.renewIntervalSeconds * 3_000_000
        else { return record.state.rawValue }
        return "silent"
    }

    private func renewedAgo(_ record: MemberRecord) -> Int64? {
        Timestamp.parse(record.renewTime).map { max(0, snapshot.readAt - $0) }
    }

    private static func text(_ window: ElectionSnapshot.Window) -> String {
        switch window {
        case .left(let microseconds): "~\(seconds(microseconds))"
        case .over: "over"
        case .closed(let reason): reason
        }
    }

    /// `2026-01-31 12:00:00Z`: what people need of a timestamp.
    private static func time(_ text: String) -> String {
        guard Timestamp.parse(text) != nil else { return text.isEmpty ? "-" : text }
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8))Z"
    }

    private static func seconds(_ microseconds: Int64) -> String {
        DurationText.format(.seconds(microseconds / 1_000_000))
    }

    // MARK: - For programs

    private struct Document: Encodable {
        var readTime: String
        var leases: [LeaseEntry]
        var members: [MemberEntry]
    }

    private struct LeaseEntry: Encodable {
        enum State: String, Encodable {
            case held
            case free
            case unreadable
            case absent
        }

        var namespace: String
        var state: State
        var leader: String?
        var term: UInt64?
        var acquireTime: String?
        var leaseDurationSeconds: Int?
        var preferredHolder: String?
        var wantedBy: String?
        /// An estimate; 0: over. Absent when the leader does not act on its lease.
        var windowLeftSeconds: Double?
        var isLed: Bool
        var isOurs: Bool?
        var problem: String?
    }

    private struct MemberEntry: Encodable {
        var cluster: String
        var state: String
        var uid: String?
        var incarnation: String?
        var renewTime: String?
        var renewedSecondsAgo: Double?
        var problem: String?
    }

    /// One JSON document, with a newline. - Parameter pretty: on many lines.
    func json(pretty: Bool) throws -> String {
        let document = Document(
            readTime: Timestamp.format(microseconds: snapshot.readAt),
            leases: leases.map(entry) + absent.map { LeaseEntry(namespace: $0, state: .absent, isLed: false) },
            members: snapshot.members.map(entry))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
        return String(decoding: try encoder.encode(document), as: UTF8.self) + "\n"
    }

    private func entry(_ lease: ElectionSnapshot.Lease) -> LeaseEntry {
        switch lease.record {
        case .failure(let error):
            return LeaseEntry(
                namespace: lease.namespace, state: .unreadable, isLed: false, isOurs: cluster.map { _ in false },
                problem: error.description)
        case .success(let record):
            let windowLeft: Double? =
                switch snapshot.window(of: record) {
                case _ where record.isFree: nil
                case .left(let microseconds): Double(microseconds) / 1_000_000
                case .over: 0
                case .closed: nil
                }
            return LeaseEntry(
                namespace: lease.namespace, state: record.isFree ? .free : .held,
                leader: record.isFree ? nil : record.holderIdentity, term: record.term,
                acquireTime: record.isFree ? nil : record.acquireTime,
                leaseDurationSeconds: record.leaseDurationSeconds, preferredHolder: record.preferredHolder,
                wantedBy: record.wantedBy, windowLeftSeconds: windowLeft, isLed: snapshot.isLed(lease.namespace),
                isOurs: cluster.map { $0 == record.holderIdentity })
        }
    }

    private func entry(_ member: ElectionSnapshot.Member) -> MemberEntry {
        switch member.record {
        case .failure(let error):
            MemberEntry(cluster: member.cluster, state: "unreadable", problem: error.description)
        case .success(let record):
            MemberEntry(
                cluster: member.cluster, state: record.state.rawValue, uid: record.uid,
                incarnation: record.incarnation, renewTime: record.renewTime,
                renewedSecondsAgo: renewedAgo(record).map { Double($0) / 1_000_000 })
        }
    }
}
