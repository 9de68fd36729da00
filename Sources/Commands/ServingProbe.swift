private import CLinux
private import Dispatch
private import Glibc
internal import TLS

/// Looks at the certificate that somebody serves by TLS.
enum ServingProbe {
    private static let timeoutMilliseconds: Int32 = 5000

    /// - Parameter authorities: those that must have signed it.
    /// - Returns: the certificate, whose chain and name are good.
    /// - Throws: ``TLSError``, or ``CommandFailure`` when there is no connection.
    static func certificate(of endpoint: Endpoint, trusting authorities: [Certificate]) async throws -> Certificate {
        let context = try ClientContext(authorities: authorities)
        // Waits for the network, so not on a thread of Swift's tasks.
        let result: Result<Certificate, any Error> = await withCheckedContinuation { continuation in
            DispatchQueue(label: "leasehold.doctor").async {
                continuation.resume(returning: Result { try look(endpoint, context) })
            }
        }
        return try result.get()
    }

    private static func look(_ endpoint: Endpoint, _ context: ClientContext) throws -> Certificate {
        let socket = try connect(endpoint)
        defer { close(socket) }
        var connection = try TLSConnection(context, serverName: endpoint.host, descriptor: socket)
        while true {
            switch connection.handshake() {
            case .done:
                guard let certificate = connection.peerCertificate else {
                    throw CommandFailure("it shows no certificate")
                }
                _ = connection.shutdown()
                return certificate
            case .wantsRead: try wait(socket, POLLIN)
            case .wantsWrite: try wait(socket, POLLOUT)
            case .closed: throw CommandFailure("it closed the connection during the TLS handshake")
            case .failed(let error): throw error
            }
        }
    }

    /// - Returns: a connected socket that never blocks.
    private static func connect(_ endpoint: Endpoint) throws -> Int32 {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(endpoint.host, String(endpoint.port), &hints, &list)
        guard code == 0 else {
            throw CommandFailure("its name cannot be resolved: \(unsafe String(cString: gai_strerror(code)))")
        }
        defer { unsafe freeaddrinfo(list) }
        var problem = "it has no address"
        var next = unsafe list
        while let address = unsafe next {
            let info = unsafe address.pointee
            unsafe next = info.ai_next
            let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            let descriptor = unsafe socket(info.ai_family, type, 0)
            guard descriptor >= 0 else { continue }
            do {
                if unsafe Glibc.connect(descriptor, info.ai_addr, info.ai_addrlen) != 0 {
                    guard errno == EINPROGRESS else { throw failure(errno) }
                    try wait(descriptor, POLLOUT)
                    var error: Int32 = 0
                    var length = socklen_t(MemoryLayout<Int32>.size)
                    unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
                    if error != 0 { throw failure(error) }
                }
                return descriptor
            } catch {
                close(descriptor)
                problem = "\(error)"
            }
        }
        throw CommandFailure(problem)
    }

    private static func wait(_ socket: Int32, _ events: Int32) throws {
        var entry = pollfd(fd: socket, events: Int16(events), revents: 0)
        let count = unsafe poll(&entry, 1, timeoutMilliseconds)
        if count == 0 { throw CommandFailure("it does not answer within \(timeoutMilliseconds / 1000) s") }
        if count < 0 && errno != EINTR { throw failure(errno) }
    }

    private static func failure(_ code: Int32) -> CommandFailure {
        CommandFailure("no connection: \(unsafe String(cString: strerror(code)))")
    }
}
