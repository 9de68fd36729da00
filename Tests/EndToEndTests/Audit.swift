import FoundationEssentials
import Support

/// An API server's own record of what the controllers' service account has called.
struct Audit {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        try directory.write(
            """
            apiVersion: audit.k8s.io/v1
            kind: Policy
            omitStages: [RequestReceived]
            rules:
              - level: Metadata
                users: ["system:serviceaccount:\(ControlPlane.systemNamespace):leader-election-controller-manager"]
              - level: None

            """, to: "policy.yaml")
    }

    var serverArguments: [String] {
        ["--audit-policy-file=\(directory.file("policy.yaml"))", "--audit-log-path=\(directory.file("log"))"]
    }

    struct Calls {
        /// `VERB GROUP/RESOURCE`, and the object's name where there may be only one or few.
        var answered: Set<String> = []
        /// What was answered 403.
        var refused: Set<String> = []
    }

    func calls() throws -> Calls {
        // Made with the first call.
        guard try directory.names().contains("log") else { return Calls() }
        let text = try String(contentsOfFile: directory.file("log"), encoding: .utf8)
        var calls = Calls()
        // The last line may be half written.
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let event = try JSONDecoder().decode(Event.self, from: Data(line.utf8))
            if event.responseStatus?.code == 403 {
                calls.refused.insert(event.call)
            } else if event.objectRef != nil {
                // The rest anybody may: ask for the version.
                calls.answered.insert(event.call)
            }
        }
        return calls
    }

    private struct Event: Decodable {
        struct Object: Decodable {
            let apiGroup: String?
            let resource: String
            let subresource: String?
            let name: String?
        }
        struct Status: Decodable { let code: Int? }
        let verb: String
        let requestURI: String
        let objectRef: Object?
        let responseStatus: Status?

        var call: String {
            guard let objectRef else { return "\(verb) \(requestURI)" }
            let kind = [objectRef.resource, objectRef.subresource].compactMap(\.self).joined(separator: "/")
            let group = objectRef.apiGroup ?? ""
            let isOneOfMany = group == "leaderelection.600lyy.io" || verb == "create"
            return "\(verb) \(group)/\(kind)" + (isOneOfMany ? "" : objectRef.name.map { " \($0)" } ?? "")
        }
    }
}
