/// What one check of `leasehold doctor` found.
struct Finding: Encodable, Hashable {
    enum Status: String, Encodable {
        case ok
        /// Works, but should be looked at.
        case warning
        case failed
        /// Could not be tried.
        case skipped
    }

    /// Its name, for scripts.
    let check: String
    let status: Status
    /// What was found, as a sentence without its full stop.
    let message: String
    /// What to do.
    let remedy: String?

    static func ok(_ check: String, _ message: String) -> Finding {
        Finding(check: check, status: .ok, message: message, remedy: nil)
    }

    static func warning(_ check: String, _ message: String, _ remedy: String) -> Finding {
        Finding(check: check, status: .warning, message: message, remedy: remedy)
    }

    static func failed(_ check: String, _ message: String, _ remedy: String? = nil) -> Finding {
        Finding(check: check, status: .failed, message: message, remedy: remedy)
    }

    static func skipped(_ check: String, _ message: String) -> Finding {
        Finding(check: check, status: .skipped, message: message, remedy: nil)
    }
}

/// All findings, in the order of what rests on what.
struct DoctorReport: Encodable {
    let checks: [Finding]

    var hasFailed: Bool { checks.contains { $0.status == .failed } }

    var text: String {
        var table = TextTable(["CHECK", "RESULT", "FINDING"])
        for finding in checks {
            table.add([finding.check, finding.status.rawValue, finding.message])
            if let remedy = finding.remedy { table.add(["", "", "-> \(remedy)"]) }
        }
        return table.text + "\n\(sum)\n"
    }

    private var sum: String {
        [Finding.Status.ok, .warning, .failed, .skipped].map { status in
            "\(checks.count { $0.status == status }) \(status.rawValue)"
        }.joined(separator: ", ")
    }
}
