private import Glibc
internal import TLS
internal import Webhook

/// The flags of whatever serves admissions: where, with which certificate, within which bounds.
struct WebhookOptions {
    var bindAddress = SocketAddress(host: "", port: 10250)
    var tlsCertificate: String?
    var tlsKey: String?
    var clientCA: String?
    var tlsNames: [SubjectName] = []
    var limits = Limits()
    var threads: Int?
    /// nil: ``shutdownDelayOfPods`` in a pod, else none.
    var shutdownDelay: Duration?

    /// Longer than it takes, as a rule, until nobody is led any more to a pod that ends, and with the time for what is being
    /// answered shorter than the 30 s that Kubernetes gives it.
    static let shutdownDelayOfPods = Duration.seconds(10)

    static func flags<Options>(at path: WritableKeyPath<Options, WebhookOptions>) -> [Flag<Options>] {
        [
            Flag(
                "bind-address", path.appending(path: \.bindAddress), .address,
                "Where admissions are served, by HTTPS at /validate."),
            Flag(
                "tls-certificate", path.appending(path: \.tlsCertificate), .file,
                "The server's certificate and its intermediates, PEM. Read again when it changes.",
                defaultText: "made by itself and kept in the state directory"),
            Flag("tls-key", path.appending(path: \.tlsKey), .file, "The private key of --tls-certificate, PEM."),
            Flag(
                "tls-name", each: path.appending(path: \.tlsNames), .subjectName,
                "Another name or address for the certificate made by itself, beside localhost, 127.0.0.1 and ::1."
            ),
            Flag(
                "client-ca", path.appending(path: \.clientCA), .file,
                "Certificates, PEM, of which one must have signed each client's.",
                defaultText: "any client may connect"),
            Flag(
                "max-body-bytes", path.appending(path: \.limits.bodyBytesMax), .integer(1024...1 << 30),
                "The largest body taken."),
            Flag(
                "max-connections", path.appending(path: \.limits.connectionsMax), .integer(1...1_000_000),
                "Open connections; more are refused."),
            Flag(
                "request-timeout", path.appending(path: \.limits.requestTimeout),
                .duration(.milliseconds(100)...(.seconds(3600))),
                "How long a client may take over a handshake or a request."),
            Flag(
                "idle-timeout", path.appending(path: \.limits.idleTimeout),
                .duration(.milliseconds(100)...(.seconds(86_400))),
                "How long a connection may wait for its next request."),
            Flag(
                "shutdown-delay", path.appending(path: \.shutdownDelay), .duration(.zero...(.seconds(3600))),
                "How long it serves on after SIGTERM, unready and ending each connection with an answer, until new ones are "
                    + "led elsewhere.",
                defaultText: "\(DurationText.format(shutdownDelayOfPods)) in a pod, else 0s"),
            Flag(
                "threads", path.appending(path: \.threads), .integer(1...1024), "Threads that serve admissions.",
                defaultText: "one for each processor"),
        ]
    }

    /// - Throws: ``UsageError`` for flags that only make sense together, or contradict each other.
    func check() throws(UsageError) {
        if (tlsCertificate == nil) != (tlsKey == nil) {
            let (given, missing) =
                tlsKey == nil ? ("--tls-certificate", "--tls-key") : ("--tls-key", "--tls-certificate")
            throw UsageError("\(missing) got nothing; allowed: the path of a file, as \(given) is given")
        }
        if tlsCertificate != nil, !tlsNames.isEmpty {
            throw UsageError(
                "--tls-name got \(tlsNames[0]); allowed: only without --tls-certificate, which has its names")
        }
    }
}

extension ValueType where Value == SubjectName {
    static var subjectName: ValueType {
        ValueType(
            placeholder: "NAME", allowed: "a host name in ASCII, with *. before it if wanted, or an IP address",
            range: nil, parse: parse, format: { $0.description })
    }

    private static func parse(_ text: String) -> SubjectName? {
        for family in [AF_INET, AF_INET6] {
            var address = in6_addr()
            guard unsafe inet_pton(family, text, &address) == 1 else { continue }
            // In the one form that certificates are read in, so that names can be compared.
            var canonical = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            _ = unsafe inet_ntop(family, &address, &canonical, socklen_t(canonical.count))
            return .ip(String(decoding: canonical.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        let labels = (text.hasPrefix("*.") ? text.dropFirst(2) : text[...]).split(
            separator: ".", omittingEmptySubsequences: false)
        let isHostName = labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                        true
                    default: false
                    }
                }
        }
        return isHostName && text.utf8.count <= 253 ? .dns(text) : nil
    }
}
