private import Dispatch
private import Glibc
private import TLS

/// Where to ask for grants: a host name or an address, and a port.
struct GrantAddress: Hashable, Sendable, CustomStringConvertible {
    /// A host name, or a numeric address without brackets.
    let host: String
    let port: UInt16

    /// A name for more controllers than this is a mistake; the rest is not asked.
    static let endpointsMax = 16

    /// - Returns: nil when it is not `HOST:PORT`, `IP:PORT` or `[IPv6]:PORT`.
    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits), port > 0 else {
            return nil
        }
        var host = text[..<colon]
        let hasBrackets = host.hasPrefix("[") && host.hasSuffix("]") && host.count > 2
        if hasBrackets { host = host.dropFirst().dropLast() }
        guard let name = ValueType.subjectName.parse(String(host)), !host.hasPrefix("*"),
            hasBrackets == name.description.contains(":")
        else { return nil }
        self.host = name.description
        self.port = port
    }

    private init(numeric host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether there is nothing to resolve.
    var isNumeric: Bool { host.contains(":") || host.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E } }

    /// The numeric addresses behind it: of a headless Service, those of its pods.
    ///
    /// Waits for the resolver, for as long as that takes, on a thread of its own.
    func endpoints() async throws(CommandFailure) -> [GrantAddress] {
        if isNumeric { return [self] }
        let result: Result<[GrantAddress], CommandFailure> = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                do throws(CommandFailure) {
                    continuation.resume(returning: .success(try resolve()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    /// getaddrinfo(3).
    private func resolve() throws(CommandFailure) -> [GrantAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else {
            throw CommandFailure("its name cannot be resolved: \(unsafe String(cString: gai_strerror(code)))")
        }
        defer { unsafe freeaddrinfo(list) }
        var found: [GrantAddress] = []
        var next = unsafe list
        while let entry = unsafe next, found.count < Self.endpointsMax {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let named = unsafe getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            let numeric = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let endpoint = GrantAddress(numeric: numeric, port: port)
            if named == 0, !found.contains(endpoint) { found.append(endpoint) }
            unsafe next = entry.pointee.ai_next
        }
        return found
    }
}

extension ValueType where Value == GrantAddress {
    static var grantAddress: ValueType {
        ValueType(
            placeholder: "HOST:PORT", allowed: "HOST:PORT, IP:PORT or [IPv6]:PORT", range: nil,
            parse: { GrantAddress($0) }, format: { $0.description })
    }
}
