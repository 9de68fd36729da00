/// Sends requests with one set of trust and identity. Any thread may call it.
package final class HTTPClient: Sendable {
    /// What servers must prove, what this client proves, and the way to them.
    package struct Options: Hashable, Sendable {
        package enum Trust: Hashable, Sendable {
            /// The authorities that the system trusts.
            case system
            /// These authorities only, PEM.
            case authorities([UInt8])
            /// Anybody. Only where a kubeconfig says so (`insecure-skip-tls-verify`).
            case anybody
        }

        package struct Identity: Hashable, Sendable {
            /// The certificate and its intermediates, PEM.
            package let chain: [UInt8]
            /// The private key, PEM.
            package let key: [UInt8]

            package init(chain: [UInt8], key: [UInt8]) {
                self.chain = chain
                self.key = key
            }
        }

        package var trust = Trust.system
        package var identity: Identity?
        /// The name that the server's certificate must have, where it is not the URL's host.
        package var serverName: String?
        /// nil: as the environment says (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
        package var proxy: String?
        package var userAgent = "leasehold"

        package init() {}
    }

    package init(_ options: Options = Options()) {}

    /// Sends a request and waits for the whole answer. Cancelling the task gives it up, as ``HTTPError/unclear(_:)``
    /// when it may have been sent.
    package func send(_ request: HTTPRequest) async throws(HTTPError) -> HTTPResponse {
        throw .failed("not there yet")
    }

    /// Sends a request and waits for the head of the answer; the body comes from the stream.
    ///
    /// - Parameter idleTimeout: after which a stream without any byte ends with an error.
    package func stream(_ request: HTTPRequest, idleTimeout: Duration) async throws(HTTPError) -> HTTPStream {
        throw .failed("not there yet")
    }
}
