/// The bounds of one server.
package struct Limits: Sendable {
    /// Connections open at once, over all loops. New ones beyond are closed as they come.
    package var connectionsMax = 10_000
    /// A request's body, in bytes, after chunks are joined.
    package var bodyBytesMax = 8 * 1024 * 1024
    /// How long a handshake, a request from its first byte on, or a client that does not take its answer may last.
    package var requestTimeout = Duration.seconds(10)
    /// How long a connection may wait for its next request.
    ///
    /// Longer than API servers keep one (90 s: IdleConnTimeout of Go's http.DefaultTransport). If both ends gave up at the
    /// same time, a request could be on its way as the connection is closed, and Go does not send a POST again.
    package var idleTimeout = Duration.seconds(120)

    /// Descriptors that connections leave to the rest of the process, whatever its limit is: for the store, API servers and
    /// controllers, for files, and for ports that leave fewer.
    package var descriptorsSpared = 24
    /// What the buffers of all connections may take together, in bytes: requests that have not arrived in full, and answers
    /// that were not taken. Beyond it only the first ``ByteBuffer/smallestCapacity`` of each request are taken.
    ///
    /// Room for more large AdmissionReviews at once than a cluster has in flight, within what a small pod has.
    package var bufferBytesMax = 128 * 1024 * 1024

    package init() {}

    /// How long a refused client may go on sending, so that it can read why it was refused (RFC 9112, section 9.6), and
    /// how long a server that stops waits for the first request of a new connection.
    static let lingerTimeout = Duration.seconds(2)
    /// Bytes that one connection may read before the others of its loop have their turn.
    ///
    /// Room for nearly every AdmissionReview as a whole. With less, all connections that send large ones have a buffer
    /// each, half filled, which costs more than the scan: memory, page faults, and a cache that holds none of them.
    static let turnBytesMax = 1024 * 1024
    /// What a read counts for in a turn, at least: with TLS, a client decides how few bytes each brings, and each takes a
    /// decryption and another look at the line that has not ended yet.
    static let readBytesMin = 4096
    /// Bytes of answers to pipelined requests that are collected before they are sent.
    static let collectedBytesMax = 64 * 1024
    /// What the kernel keeps of answers that a client has not taken, in bytes as asked of it; it gives twice that (socket(7)).
    ///
    /// Else it gives 4 MiB to a client that asks and does not read, and a thousand such clients all the memory that the
    /// node has for TCP, of every process.
    static let sendBufferBytes = 16 * 1024
    /// The same for requests of a client that does not take its answers, which are not read meanwhile.
    static let receiveBufferBytes = 32 * 1024
    /// What an array that held a larger answer keeps of its memory.
    static let keptBytesMax = 4 * collectedBytesMax
    /// Connections accepted in one turn of a loop.
    static let acceptsPerTurn = 16
    /// TLS handshakes moved on in one turn of a loop. Each costs as much as a dozen requests.
    static let handshakesPerTurn = 4
}
