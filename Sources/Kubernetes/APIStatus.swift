private import FoundationEssentials
internal import HTTP

/// What the API server says about a request that failed (apimachinery, `Status`), as far as it is used.
struct APIStatus: Decodable {
    struct Details: Decodable {
        var name: String?
        var causes: [Cause]?
        var retryAfterSeconds: Int?
    }

    struct Cause: Decodable {
        var message: String?
        var field: String?
    }

    var reason: String?
    var message: String?
    var code: Int?
    var details: Details?
}

extension KubernetesError {
    /// An answer other than 2xx.
    ///
    /// - Parameters:
    ///   - what: the request, such as "GET /api/v1/namespaces".
    ///   - isWrite: whether the request could change anything.
    init(_ what: String, isWrite: Bool, resource: APIResource, _ answer: HTTPResponse) {
        let decoded = try? JSONDecoder().decode(APIStatus.self, from: Data(answer.body))
        let hint = answer.header("retry-after").flatMap { Int($0) }
        // A proxy's page in place of a Status: its beginning says the most.
        let status = decoded ?? APIStatus(message: String(decoding: answer.body.prefix(200), as: UTF8.self))
        self.init(what, code: answer.status, isWrite: isWrite, resource: resource, status, retryAfterSeconds: hint)
    }

    /// - Parameter code: HTTP's, or what stands for it in an event of a watch.
    init(
        _ what: String, code: Int, isWrite: Bool, resource: APIResource, _ status: APIStatus,
        retryAfterSeconds: Int? = nil
    ) {
        let seconds = retryAfterSeconds ?? status.details?.retryAfterSeconds
        self.code = Self.code(code, reason: status.reason, isWrite: isWrite, saysWhen: seconds != nil)
        retryAfter = seconds.map { .seconds(min(max($0, 0), 3600)) }
        let reason = status.reason.map { " \(Self.bounded($0))" } ?? ""
        let sentences = [Self.explanation(status), Self.advice(code, status, resource)].compactMap { $0 }
        message = "\(what): \(code)\(reason)" + (sentences.isEmpty ? "" : ": \(sentences.joined(separator: ". "))")
    }

    private static func code(_ code: Int, reason: String?, isWrite: Bool, saysWhen: Bool) -> Code {
        switch (code, reason) {
        case (401, _): .unauthorized
        case (403, _): .forbidden
        case (404, _): .notFound
        case (409, "AlreadyExists"): .alreadyExists
        case (409, _): .conflict
        case (410, _), (_, "Expired"), (_, "Gone"): .expired
        case (422, _): .invalid
        case (429, _): .tooManyRequests
        case (503, _) where saysWhen: .tooManyRequests
        // Behind a 500, 503 or 504 may be a write that etcd has taken without confirming it in time.
        case (500..., _) where isWrite: .unclear
        default: .status(code)
        }
    }

    private static let causesMax = 5
    private static let textMax = 1000

    private static func explanation(_ status: APIStatus) -> String? {
        guard var text = status.message, !text.isEmpty else { return nil }
        // The message of an invalid object already has its causes; others have none to speak of.
        if status.reason != "Invalid" {
            for cause in status.details?.causes?.prefix(causesMax) ?? [] {
                guard let message = cause.message, !text.contains(message) else { continue }
                text += "; \(cause.field.map { "\($0): " } ?? "")\(message)"
            }
        }
        return bounded(text)
    }

    private static func bounded(_ text: String) -> String {
        let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        return line.count > textMax ? "\(line.prefix(textMax))..." : line
    }

    private static func advice(_ code: Int, _ status: APIStatus, _ resource: APIResource) -> String? {
        switch code {
        case 401: "The API server does not know these credentials, or they have expired: renew them"
        case 403 where status.reason == "Forbidden" && status.message?.contains("cannot ") == true:
            "Grant this user that right (RBAC)"
        case 404 where status.details?.name == nil && !resource.group.isEmpty && !resource.isBuiltIn:
            "Install the CustomResourceDefinition \(resource.plural).\(resource.group)"
        case 404 where status.details?.name == nil:
            "This API server does not serve \(resource.plural) of \(resource.apiVersion)"
        default: nil
        }
    }
}

extension APIResource {
    /// Whether the API server serves it without a CustomResourceDefinition.
    fileprivate var isBuiltIn: Bool { group.isEmpty || !group.contains(".") || group.hasSuffix(".k8s.io") }
}
