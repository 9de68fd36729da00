private import Dispatch
internal import HTTP
internal import Platform
internal import TLS

/// A webhook's connections to its controllers, of which each is kept for the next question. Any thread may call it.
///
/// It does by itself what the store and Kubernetes are asked by libcurl for: that library, with what it brings along, would
/// take a fifth of a webhook's memory for two short questions a second to a server of our own.
final class GrantConnections: Sendable {
    private let idle = Locked<[GrantAddress: GrantConnection]>([:])

    /// Questions are never that far apart: whom nobody asks any more is gone.
    private static let idleMax = Duration.seconds(30)

    /// Sends a GET request and waits for the whole answer.
    ///
    /// - Parameter suffix: path and query.
    func get(
        _ suffix: String, from endpoint: GrantAddress, _ context: ClientContext, timeout: Duration, bytesMax: Int
    ) async throws(HTTPError) -> HTTPResponse {
        let deadline = ContinuousClock.now + timeout
        let result: Result<HTTPResponse, HTTPError> = await withCheckedContinuation { continuation in
            // It waits for the network, so not on a thread of Swift's tasks: a queue of its own always gets another one.
            DispatchQueue(label: "leasehold.grants").async { [self] in
                do throws(GrantConnection.Failure) {
                    let answer = try ask(suffix, endpoint, context, until: deadline, timeout, bytesMax)
                    continuation.resume(returning: .success(answer))
                } catch {
                    let what = "GET https://\(endpoint)\(suffix)"
                    continuation.resume(returning: .failure(.failed("\(what) has no answer: \(error.reason)")))
                }
            }
        }
        return try result.get()
    }

    private func ask(
        _ suffix: String, _ endpoint: GrantAddress, _ context: ClientContext, until deadline: ContinuousClock.Instant,
        _ timeout: Duration, _ bytesMax: Int
    ) throws(GrantConnection.Failure) -> HTTPResponse {
        func ask(_ connection: GrantConnection) throws(GrantConnection.Failure) -> HTTPResponse {
            let answer = try connection.get(suffix, host: "\(endpoint)", bytesMax: bytesMax, until: deadline)
            giveBack(connection, to: endpoint)
            return answer
        }
        if let connection = take(endpoint, context) {
            do throws(GrantConnection.Failure) {
                return try ask(connection)
            } catch  where error.isBeforeAnswer {
                // It was closed at the other end while nobody looked; a GET may be sent again (RFC 9110, section 9.2.2).
            }
        }
        return try ask(GrantConnection(to: endpoint, context, until: deadline, timeout: timeout))
    }

    private func take(_ endpoint: GrantAddress, _ context: ClientContext) -> GrantConnection? {
        let connection = idle.withLock { $0.removeValue(forKey: endpoint) }
        // One that was made with certificates of before has proved what is no longer to be proved.
        return connection?.context === context ? connection : nil
    }

    private func giveBack(_ connection: GrantConnection, to endpoint: GrantAddress) {
        let now = ContinuousClock.now
        idle.withLock { idle in
            if connection.isReusable { idle[endpoint] = connection }
            guard idle.count > 1 else { return }
            idle = idle.filter { $0.value.lastAnswered.map { now - $0 < Self.idleMax } ?? false }
        }
    }
}
