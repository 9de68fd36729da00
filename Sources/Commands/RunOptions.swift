internal import Controller
internal import Election
private import Glibc
private import Kubernetes
internal import Platform
internal import TLS
internal import Webhook

/// What `leasehold run` is told.
struct RunOptions: FlagOptions {
    var cluster = ""
    var namespaces: [String] = []
    var leaseSeconds = 15
    /// All but the request time-out, which ``StoreOptions`` holds.
    var timing = Timing()
    var store = StoreOptions()
    var kubernetes = KubernetesOptions()
    var releasesOnShutdown = false
    var shutdownTimeout = Duration.seconds(25)

    var bindAddress = SocketAddress(host: "", port: 10250)
    var healthAddress = SideAddress.at(SocketAddress(host: "", port: 8081))
    var metricsAddress = SideAddress.at(SocketAddress(host: "", port: 8080))
    var tlsCertificate: String?
    var tlsKey: String?
    var clientCA: String?
    var tlsNames: [SubjectName] = []
    var limits = Limits()
    var threads: Int?
    var policy = PolicyOptions()

    var logFormat = Log.Format.text
    var logLevel = Log.Level.info

    /// Where a port beside the webhook's is served, if at all.
    enum SideAddress: Hashable {
        case off
        case at(SocketAddress)
    }

    static var groups: [FlagGroup<RunOptions>] {
        let interval = ValueType.duration(.milliseconds(10)...(.seconds(86_400)))
        return [
            FlagGroup(
                "Election",
                [
                    Flag(
                        "cluster", \.cluster, .name("CLUSTER"), "This cluster's name, which no other may have.",
                        required: true),
                    Flag(
                        "namespace", each: \.namespaces, .name("NAMESPACE"),
                        "A namespace to compete for, where there is no Kubernetes to tell."),
                    Flag(
                        "lease-duration", \.leaseSeconds, .wholeSeconds(1...Timing().leaseDurationLimit),
                        "How long this cluster's leases outlive its last heartbeat."),
                    Flag("renew-interval", \.timing.renewInterval, interval, "Between two heartbeats."),
                    Flag("poll-interval", \.timing.pollInterval, interval, "Between two looks at the other clusters."),
                    Flag(
                        "relist-interval", \.timing.relistInterval, interval,
                        "Between two lists of all leases when nothing else asks for one."),
                    Flag(
                        "grant-duration", \.timing.grantDuration, interval,
                        "How long a webhook may act on one answer of its controller."),
                    Flag(
                        "commit-margin", \.timing.commitMargin, .duration(.zero...(.seconds(86_400))),
                        "Kept free at the end of a lease for the API server's write after the admission."),
                    Flag(
                        "clock-rate-bound", \.timing.rho, .percent(0...100_000),
                        "How far the rate of a machine's clock may be from true time."),
                    Flag(
                        switch: "release-on-shutdown", \.releasesOnShutdown,
                        "Frees all leases at the end, so that other clusters lead at once; else they wait for this "
                            + "cluster's next run until they run out."),
                    Flag(
                        "shutdown-timeout", \.shutdownTimeout, .duration(.seconds(1)...(.seconds(3600))),
                        "How long a shutdown may take before it is cut short; a handover to a store that does not answer "
                            + "may take two --store-timeout more."),
                ]),
            FlagGroup("Store", StoreOptions.flags(at: \.store)),
            FlagGroup("Kubernetes", KubernetesOptions.flags(at: \.kubernetes)),
            FlagGroup(
                "Webhook",
                [
                    Flag(
                        "bind-address", \.bindAddress, .address, "Where admissions are served, by HTTPS at /validate."),
                    Flag(
                        "health-probe-bind-address", \.healthAddress, .sideAddress,
                        "Where /healthz and /readyz are served, by HTTP; 0 turns it off."),
                    Flag(
                        "metrics-bind-address", \.metricsAddress, .sideAddress,
                        "Where /metrics is served, by HTTP; 0 turns it off."),
                    Flag(
                        "tls-certificate", \.tlsCertificate, .file,
                        "The server's certificate and its intermediates, PEM. Read again when it changes.",
                        defaultText: "made by itself and kept in the state directory"),
                    Flag("tls-key", \.tlsKey, .file, "The private key of --tls-certificate, PEM."),
                    Flag(
                        "tls-name", each: \.tlsNames, .subjectName,
                        "Another name or address for the certificate made by itself, beside localhost, 127.0.0.1 and ::1."
                    ),
                    Flag(
                        "client-ca", \.clientCA, .file,
                        "Certificates, PEM, of which one must have signed each client's.",
                        defaultText: "any client may connect"),
                    Flag("max-body-bytes", \.limits.bodyBytesMax, .integer(1024...1 << 30), "The largest body taken."),
                    Flag(
                        "max-connections", \.limits.connectionsMax, .integer(1...1_000_000),
                        "Open connections; more are refused."),
                    Flag(
                        "request-timeout", \.limits.requestTimeout, .duration(.milliseconds(100)...(.seconds(3600))),
                        "How long a client may take over a handshake or a request."),
                    Flag(
                        "idle-timeout", \.limits.idleTimeout, .duration(.milliseconds(100)...(.seconds(86_400))),
                        "How long a connection may wait for its next request."),
                    Flag(
                        "threads", \.threads, .integer(1...1024), "Threads that serve admissions.",
                        defaultText: "one for each processor"),
                ]),
            FlagGroup("Guard", PolicyOptions.flags(at: \.policy)),
            FlagGroup(
                "Log",
                [
                    Flag("log-format", \.logFormat, .choice("FORMAT"), "One line an event on standard error."),
                    Flag("log-level", \.logLevel, .choice("LEVEL"), "The least that is written."),
                ]),
        ]
    }

    // MARK: - What follows from several flags

    /// - Throws: ``UsageError`` for a combination that the election's rules forbid.
    func electionTiming() throws(UsageError) -> Timing {
        var timing = timing
        if timing.renewInterval < store.renewIntervalMin {
            throw UsageError(
                "--renew-interval got \(DurationText.format(timing.renewInterval)); allowed: at least "
                    + "\(DurationText.format(store.renewIntervalMin)) with this store, which takes one write a second of "
                    + "each object")
        }
        timing.requestTimeout = store.timeout ?? min(StoreOptions.timeoutDefault, timing.renewInterval)
        if timing.requestTimeout > timing.renewInterval {
            throw UsageError(
                "--store-timeout got \(DurationText.format(timing.requestTimeout)); allowed: at most the "
                    + "--renew-interval, \(DurationText.format(timing.renewInterval))")
        }
        if timing.commitMargin >= timing.grantDuration {
            throw UsageError(
                "--commit-margin got \(DurationText.format(timing.commitMargin)); allowed: less than the "
                    + "--grant-duration, \(DurationText.format(timing.grantDuration))")
        }
        // What remains is checked flag by flag already; the election itself refuses it too.
        if let problem = timing.problem { throw UsageError(problem) }
        if let refusal = timing.refusal(ofSeconds: leaseSeconds) {
            throw UsageError(
                "--lease-duration \(DurationText.format(.seconds(leaseSeconds))) is too short for --commit-margin "
                    + "\(DurationText.format(timing.commitMargin)), --renew-interval "
                    + "\(DurationText.format(timing.renewInterval)), --store-timeout "
                    + "\(DurationText.format(timing.requestTimeout)) and --grant-duration "
                    + "\(DurationText.format(timing.grantDuration)): \(refusal)")
        }
        return timing
    }

    /// - Throws: ``UsageError`` for flags that only make sense together, or contradict each other.
    func check(_ environment: [String: String]) throws(UsageError) {
        try checkWhereNamespacesComeFrom(environment)
        if (tlsCertificate == nil) != (tlsKey == nil) {
            let (given, missing) =
                tlsKey == nil ? ("--tls-certificate", "--tls-key") : ("--tls-key", "--tls-certificate")
            throw UsageError("\(missing) got nothing; allowed: the path of a file, as \(given) is given")
        }
        if tlsCertificate != nil, !tlsNames.isEmpty {
            throw UsageError(
                "--tls-name got \(tlsNames[0]); allowed: only without --tls-certificate, which has its names")
        }
        var ports = [("--bind-address", bindAddress)]
        for (flag, address) in [
            ("--health-probe-bind-address", healthAddress), ("--metrics-bind-address", metricsAddress),
        ] {
            guard case .at(let address) = address else { continue }
            if address.port != 0, let other = ports.first(where: { $0.1 == address }) {
                throw UsageError("\(flag) got \(address), which \(other.0) has; allowed: another port, or 0 for none")
            }
            ports.append((flag, address))
        }
    }

    private func checkWhereNamespacesComeFrom(_ environment: [String: String]) throws(UsageError) {
        if let namespace = namespaces.first {
            guard let kubeconfig = kubernetes.kubeconfig else { return }
            throw UsageError(
                "--namespace \(namespace) and --kubeconfig \(kubeconfig) were both given; allowed: one of them, as with "
                    + "Kubernetes its namespaces are competed for")
        }
        guard kubernetes.kubeconfig != nil || KubernetesCredentials.isInCluster(environment: environment) else {
            throw UsageError(
                "--namespace got nothing; allowed: the name of a namespace to compete for, repeatable; or --kubeconfig, or "
                    + "to run in a pod, to serve the namespaces of an API server")
        }
        // Each cluster would have a store of its own, and lead everything in it.
        guard store.isNamed else {
            throw UsageError(
                "--lease-storage-bucket got nothing; allowed: the bucket that all clusters share, or --store with another "
                    + "store that they share")
        }
    }
}

extension ValueType where Value == SocketAddress {
    static var address: ValueType {
        ValueType(
            placeholder: "ADDRESS", allowed: ":PORT for all addresses, IP:PORT or [IPv6]:PORT", range: nil,
            parse: { try? SocketAddress($0) }, format: { $0.description })
    }
}

extension ValueType where Value == RunOptions.SideAddress {
    static var sideAddress: ValueType {
        ValueType(
            placeholder: "ADDRESS", allowed: ":PORT for all addresses, IP:PORT or [IPv6]:PORT, or 0 for none",
            range: nil,
            parse: { text in text == "0" ? .off : (try? SocketAddress(text)).map { .at($0) } },
            format: { address in
                switch address {
                case .off: "0"
                case .at(let address): address.description
                }
            })
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
