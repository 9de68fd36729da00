package import Election

extension Decision {
    /// Appends the `AdmissionReview` that answers `request` (k8s.io/api/admission/v1, `AdmissionResponse`).
    ///
    /// The API server hands `status` to its client: code and reason as they are, `retryAfterSeconds` also as the
    /// header `Retry-After`, upon which client-go tries again by itself, and `message` behind the name of the webhook
    /// (apiserver, admission/plugin/webhook/errors). It puts that name before the keys of the annotations, too.
    ///
    /// - Parameters:
    ///   - table: that of the decision.
    ///   - message: memory for the message, reused from call to call.
    package func appendAnswer(
        to request: borrowing AdmissionRequest, policy: Policy, table: LeadershipTable, message: inout [UInt8],
        into body: inout [UInt8]
    ) {
        body.append(#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"#)
        body.append(json: request.uid)
        body.append(isAllowed ? #","allowed":true"# : #","allowed":false"#)
        if outcome == .denied || outcome == .warned {
            message.removeAll(keepingCapacity: true)
            appendMessage(for: request, policy: policy, table: table, to: &message)
            if outcome == .denied { appendStatus(message, to: &body) } else { appendWarning(&message, to: &body) }
        }
        let (leader, term) = leader(in: table)
        body.append(#","auditAnnotations":{"leader":"#)
        body.append(json: leader)
        body.append(#","term":""#)
        body.append(decimal: term)
        body.append(#"","decision":""#)
        body.append(outcome.label)
        // With a line feed, for whoever asks by hand; the API server's decoder skips it.
        body.append("\"}}}\n")
    }

    private func appendStatus(_ message: [UInt8], to body: inout [UInt8]) {
        body.append(#","status":{"status":"Failure","message":"#)
        body.append(json: message)
        body.append(
            code == 503
                ? #","reason":"ServiceUnavailable","details":{"retryAfterSeconds":1},"code":503}"#
                : #","reason":"Forbidden","code":403}"#)
    }

    /// API servers may cut a warning after 256 bytes.
    private func appendWarning(_ message: inout [UInt8], to body: inout [UInt8]) {
        message.insert(contentsOf: "would be denied: ".utf8, at: 0)
        body.append(#","warnings":["#)
        body.append(json: message)
        body.append("]")
    }

    /// Who leads the namespace that decides, as far as known here, and the term of its lease record; "" and 0 otherwise.
    private func leader(in table: LeadershipTable) -> (name: String, term: UInt64) {
        switch standing {
        case .leads(let term):
            return (table.cluster, term)
        case .follows(let slot):
            let tenure = table.tenure(slot)
            return (tenure.holder ?? "", tenure.term)
        case .vacant(let slot?, _):
            return ("", table.tenure(slot).term)
        case .vacant(nil, _), .unmanaged:
            return ("", 0)
        }
    }
}
