internal import Election
private import FoundationEssentials
internal import Kubernetes

/// ``StatusDocument`` as text.
struct StatusReport {
    let document: StatusDocument
    /// Whether to show all that is known.
    var isWide = false

    // MARK: - For people

    var text: String {
        let remarks =
            [document.problem].compactMap(\.self) + document.leases.compactMap(remark)
            + document.members.compactMap(remark)
        let text = leasesTable + "\n" + membersTable
        return remarks.isEmpty ? text : text + "\n" + remarks.map { TextTable.printable($0) + "\n" }.joined()
    }

    private var leasesTable: String {
        let leases = document.leases
        if leases.isEmpty {
            return document.source == .store
                ? "No lease records: no cluster has competed for a namespace yet.\n"
                : "No Lease objects: the controller has made none yet, or serves no namespace.\n"
        }
        var columns: [(header: String, cell: (StatusDocument.Lease) -> String)] = [
            ("NAMESPACE", { $0.namespace }), ("LEADER", Self.leader), ("TERM", { $0.term.map(String.init) ?? "-" }),
            ("SINCE", { $0.acquireTime.map(Self.time) ?? "-" }), ("WINDOW LEFT", Self.window),
        ]
        if isWide || leases.contains(where: { $0.preferredHolder != nil }) {
            columns.append(("PREFERRED", { $0.preferredHolder ?? "-" }))
        }
        if isWide {
            columns += [
                ("WANTED BY", { $0.wantedBy ?? "-" }),
                ("DURATION", { $0.leaseDurationSeconds.map { "\($0)s" } ?? "-" }),
                ("TRANSITIONS", { $0.transitions.map(String.init) ?? "-" }),
            ]
        }
        if leases.contains(where: { $0.isOurs != nil }) {
            columns.append(("OURS", { $0.isOurs == true ? "yes" : "no" }))
        }
        var table = TextTable(columns.map(\.header))
        for lease in leases { table.add(columns.map { $0.cell(lease) }) }
        return table.text
    }

    private var membersTable: String {
        if document.members.isEmpty { return "No members: no cluster has taken part yet.\n" }
        var table = TextTable(["CLUSTER", "STATE", "RENEWED", "INCARNATION"] + (isWide ? ["UID"] : []))
        for member in document.members {
            let renewed = member.renewedSecondsAgo.map { "~\(Self.seconds($0)) ago" } ?? "-"
            let incarnation = member.incarnation.map { isWide ? $0 : String($0.prefix(8)) } ?? "-"
            table.add([member.cluster, member.state, renewed, incarnation] + (isWide ? [member.uid ?? "-"] : []))
        }
        return table.text
    }

    private func remark(_ lease: StatusDocument.Lease) -> String? {
        guard let problem = lease.problem else { return nil }
        guard lease.state == .unreadable, document.source == .store else { return "\(lease.namespace): \(problem)" }
        return
            "leases/\(lease.namespace) is no lease record: \(problem). Nobody can lead it until the object is repaired "
            + "or deleted."
    }

    private func remark(_ member: StatusDocument.Member) -> String? {
        member.problem.map { "members/\(member.cluster) is no member record: \($0)." }
    }

    private static func leader(_ lease: StatusDocument.Lease) -> String {
        switch lease.state {
        case .held: lease.leader ?? "-"
        case .free, .unreadable, .unknown: "(\(lease.state.rawValue))"
        case .absent: "(no record)"
        }
    }

    private static func window(_ lease: StatusDocument.Lease) -> String {
        guard lease.window == "open", let left = lease.windowLeftSeconds else { return lease.window ?? "-" }
        return "~\(seconds(left))"
    }

    /// `2026-01-31 12:00:00Z`: what people need of a timestamp.
    private static func time(_ text: String) -> String {
        guard Timestamp.parse(text) != nil else { return text.isEmpty ? "-" : text }
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8))Z"
    }

    private static func seconds(_ seconds: Double) -> String { DurationText.format(.seconds(Int64(seconds))) }
}

/// One document for programs.
enum DocumentText {
    /// JSON with sorted keys, with a newline. - Parameter pretty: on many lines.
    static func json(_ document: some Encodable, pretty: Bool = true) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
        return String(decoding: try encoder.encode(document), as: UTF8.self) + "\n"
    }

    /// The same document as YAML.
    static func yaml(_ document: some Encodable) throws -> String {
        YAMLText.document(try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(document)))
    }
}
