/// Why a call to the API server did not do what it was for.
package struct KubernetesError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// No answer, and certainly nothing done.
        case unreachable
        /// No answer that can be trusted: a write may have taken effect. For a write so is any 5xx that does not say when
        /// to try again.
        case unclear
        /// 401: the credentials are missing, expired or not known.
        case unauthorized
        /// 403: no right to it.
        case forbidden
        /// 404: the object, or its kind (a CRD that is not installed).
        case notFound
        /// 409 with reason AlreadyExists.
        case alreadyExists
        /// 409: the object has another resourceVersion, or another field manager has the field.
        case conflict
        /// 410: the resourceVersion or continue token is too old; list again.
        case expired
        /// 422: the object breaks its schema.
        case invalid
        /// 429, or 503 with Retry-After: later.
        case tooManyRequests
        /// Any other status.
        case status(Int)
        /// The credentials cannot be had: a file, or a plugin, fails.
        case credentials
    }

    package let code: Code
    /// What was tried, what the server said, and, where it is known, what to do. Without a secret.
    package let message: String
    /// How long the server asks to be left alone.
    package let retryAfter: Duration?

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
        retryAfter = nil
    }

    package var description: String { message }
}
