private import FoundationEssentials
internal import HTTP

/// What a webhook said to an AdmissionReview.
package struct ReviewAnswer: Hashable, Sendable {
    package let isAllowed: Bool
    /// Of a denial; 0: none.
    package let code: Int
    package let retryAfterSeconds: Int?
    /// What the audit annotations say.
    package let leader: String
    package let term: UInt64

    /// - Parameter body: of an answer with status 200.
    package init?(parsing body: [UInt8]) {
        guard let review = try? JSONDecoder().decode(Review.self, from: Data(body)) else { return nil }
        isAllowed = review.response.allowed
        code = review.response.status?.code ?? 0
        retryAfterSeconds = review.response.status?.details?.retryAfterSeconds
        leader = review.response.auditAnnotations?["leader"] ?? ""
        term = review.response.auditAnnotations?["term"].flatMap { UInt64($0) } ?? 0
    }

    private struct Review: Decodable {
        struct Response: Decodable {
            let allowed: Bool
            let status: Status?
            let auditAnnotations: [String: String]?
        }
        let response: Response
    }

    private struct Status: Decodable {
        struct Details: Decodable { let retryAfterSeconds: Int? }
        let code: Int?
        let details: Details?
    }
}
