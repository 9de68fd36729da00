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
        /// nil: as the environment says (`HTTPS_PROXY`, `http_proxy` in small letters only, `NO_PROXY`), and none to this
        /// machine itself; empty: none. `NO_PROXY` is compared with ``serverName`` where that is set.
        package var proxy: String?
        package var userAgent = "leasehold"

        package init() {}
    }

    private let options: Options

    /// Starts nothing: the connections and the thread are shared by all clients, and begin with the first request.
    package init(_ options: Options = Options()) {
        self.options = options
    }

    /// Sends a request and waits for the whole answer. Cancelling the task gives it up, as ``HTTPError/unclear(_:)``
    /// when it may have been sent.
    package func send(_ request: HTTPRequest) async throws(HTTPError) -> HTTPResponse {
        let answer = WholeAnswer(bytesMax: request.responseBytesMax)
        let call = Call(request, options, sink: answer)
        let engine = try start(call)
        return try await withTaskCancellationHandler {
            await answer.outcome()
        } onCancel: {
            engine.cancel(call)
        }.get()
    }

    /// Sends a request and waits for the head of the answer; the body comes from the stream.
    ///
    /// The stream has a connection of its own, and ``HTTPRequest/responseBytesMax`` does not apply: at most 1 MiB waits to
    /// be taken, and the server has to wait then.
    ///
    /// - Parameter idleTimeout: after which a stream without any byte ends with an error.
    package func stream(_ request: HTTPRequest, idleTimeout: Duration) async throws(HTTPError) -> HTTPStream {
        let answer = StreamedAnswer()
        let call = Call(request, options, sink: answer, idleTimeout: idleTimeout)
        let engine = try start(call)
        let head = try await withTaskCancellationHandler {
            await answer.head()
        } onCancel: {
            engine.cancel(call)
        }.get()
        return HTTPStream(head, answer, call, engine)
    }

    private func start(_ call: Call) throws(HTTPError) -> Engine {
        try call.request.check()
        if Task.isCancelled {
            throw HTTPError(call.request, isSent: false, reason: "the task was cancelled before")
        }
        switch Engine.shared {
        case .success(let engine):
            try engine.start(call)
            return engine
        case .failure(let error):
            throw HTTPError(call.request, isSent: false, reason: "libcurl cannot be started: \(error.text)")
        }
    }
}
