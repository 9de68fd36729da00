private import CLinux
internal import Election
internal import HTTP

/// Asks controllers over mutual TLS.
struct GrantAsking: Sendable {
    let credentials: GrantCredentials
    private let connections = GrantConnections()

    /// The table of 10,000 namespaces takes 1.5 MB.
    private static let answerBytesMax = 32 << 20
    /// What of an answer that is no grant may come into the log.
    private static let quotedMax = 200

    /// - Throws: ``HTTPError`` when there is no answer, ``CommandFailure`` when it is no grant.
    func ask(_ endpoint: GrantAddress, known: TableMark?, timeout: Duration) async throws -> Grant {
        let answer = try await get(
            "\(GrantServing.path)\(GrantQuestion(known: known).suffix)", from: endpoint, timeout: timeout)
        guard answer.status == 200 else {
            let said = TextTable.printable(String(decoding: answer.body.prefix(Self.quotedMax), as: UTF8.self))
            throw CommandFailure("it answered \(answer.status), \"\(said)\"; is --grants-address a controller's?")
        }
        do {
            let grant = try Grant(text: answer.body)
            // The answer and the table before take a multiple of its room for a moment, which the C library would keep.
            if grant.table != nil { malloc_trim(0) }
            return grant
        } catch {
            throw CommandFailure(
                "it answered with something else than a grant; run the controller and the webhook in the same version")
        }
    }

    /// Whatever is answered at a path of a controller's port.
    func get(_ suffix: String, from endpoint: GrantAddress, timeout: Duration) async throws(HTTPError) -> HTTPResponse {
        try await connections.get(
            suffix, from: endpoint, credentials.client, timeout: timeout, bytesMax: Self.answerBytesMax)
    }
}
