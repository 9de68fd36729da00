package import Election
package import Kubernetes
package import Platform
package import TLS

/// Keeps a cluster's authority and the certificates of it: in Secrets, in this machine's files, and in the
/// ValidatingWebhookConfiguration.
///
/// Every controller runs one, active or standing by. What is in the Secrets decides, and each change of them is refused when
/// somebody has changed the Secret since it was read, so that all agree. Without an API server everything stays as it is.
package struct AuthorityKeeper: Sendable {
    package struct Options: Sendable {
        /// The Secret of the authority.
        package var secret: String
        package var namespace: String
        /// What webhooks serve as.
        package var webhookNames: [SubjectName]
        /// What controllers serve grants as.
        package var grantsName: SubjectName
        package var webhookConfiguration: String
        package var lifetimes = CertificateLifetimes()
        /// Where this controller's own certificate is kept, as ``IssuedFiles``; exists.
        package var directory: String

        package init(
            secret: String, namespace: String, webhookNames: [SubjectName], grantsName: SubjectName,
            webhookConfiguration: String, directory: String
        ) {
            self.secret = secret
            self.namespace = namespace
            self.webhookNames = webhookNames
            self.grantsName = grantsName
            self.webhookConfiguration = webhookConfiguration
            self.directory = directory
        }
    }

    package static let webhookSecret = "leader-election-webhook-tls"
    package static let grantsSecret = "leader-election-grants-tls"

    package let status: AuthorityStatus
    private let options: Options
    private let client: KubernetesClient
    private let log: Log
    private let readClocks: @Sendable () -> Reading
    private let secrets: [IssuedSecret]
    private let own: IssuedCertificate
    private let configuration: WebhookConfigurationKeeper
    /// What the configuration is to hold.
    private let bundle: Locked<[UInt8]>

    package init(
        _ options: Options, client: KubernetesClient, log: Log,
        readClocks: @escaping @Sendable () -> Reading = { .now() }
    ) {
        self.options = options
        self.client = client
        self.log = log
        self.readClocks = readClocks
        secrets = [
            IssuedSecret(
                name: Self.webhookSecret, namespace: options.namespace,
                certificate: IssuedCertificate(
                    label: "webhook", commonName: "leasehold webhook", purpose: .server, names: options.webhookNames)),
            IssuedSecret(
                name: Self.grantsSecret, namespace: options.namespace,
                certificate: IssuedCertificate(
                    label: "grants_client", commonName: "leasehold webhook asking for grants", purpose: .client,
                    names: [])),
        ]
        own = IssuedCertificate(
            label: "grants_server", commonName: "leasehold controller", purpose: .server, names: [options.grantsName])
        status = AuthorityStatus(ownLabel: own.label)
        let bundle = Locked<[UInt8]>([])
        self.bundle = bundle
        configuration = WebhookConfigurationKeeper(options.webhookConfiguration, client: client, log: log) {
            bundle.withLock { $0 }
        }
    }

    /// Keeps them until its task is cancelled.
    package func run() async {
        var (failures, announcement) = (RepeatedFailures(log), Announcement())
        while !Task.isCancelled {
            let problems = await look(&announcement)
            for problem in problems where !Task.isCancelled {
                failures.failed(
                    problem.what, "Cannot keep \(problem.what), and tries again: \(problem.error)", at: .now())
            }
            failures.advance(at: .now())
            if problems.isEmpty { failures.succeeded("") }
            status.note(failure: problems.first.map { "\($0.what): \($0.error)" })
            let pause = options.lifetimes.lookInterval
            // Interrupted only at the end.
            try? await Task.sleep(
                for: status.hasCertificate ? pause : min(pause, Self.retryInterval), clock: .continuous)
        }
    }

    /// Until there is something to serve grants with.
    private static let retryInterval = Duration.seconds(1)
    /// How often a change is tried at once when others change the same Secret.
    private static let triesMax = 5

    private struct Problem {
        let what: String
        let error: any Error
    }

    /// Looks at everything once, and does what is due.
    ///
    /// - Returns: what could not be done.
    private func look(_ announcement: inout Announcement) async -> [Problem] {
        let now = readClocks()
        let authority: Authority
        do {
            authority = try await agree(announcement, at: now)
        } catch {
            // What was announced may have been taken back.
            announcement.note(nil, isEverywhere: false, at: now)
            return [Problem(what: "the Secret \(options.secret)", error: error)]
        }
        var (problems, isEverywhere) = ([Problem](), true)
        if authority.isFull { problems.append(Problem(what: "up with a wish", error: tooMany(authority))) }
        // Its own first: without it no webhook is granted anything.
        do {
            let (issued, inUse) = try IssuedFiles(in: options.directory).ensure(
                own, of: authority, at: now.realtime / 1000, options.lifetimes)
            note(own, inUse, isNew: issued != nil)
        } catch { problems.append(Problem(what: "the certificate in \(options.directory)", error: error)) }
        // Whom the API server trusts before what it is shown.
        do { isEverywhere = try await keepConfiguration(authority) && isEverywhere } catch {
            problems.append(Problem(what: options.webhookConfiguration, error: error))
        }
        for secret in secrets {
            do { isEverywhere = try await keep(secret, authority, at: now) && isEverywhere } catch {
                problems.append(Problem(what: "the Secret \(secret.name)", error: error))
            }
        }
        announcement.note(
            authority.next?.certificate, isEverywhere: isEverywhere && problems.isEmpty, at: readClocks())
        return problems
    }

    // MARK: The authority

    /// The authority that all replicas share, after what is due.
    private func agree(_ announcement: Announcement, at now: Reading) async throws -> Authority {
        try await repeating { () async throws -> Authority in
            let old = try await readIfThere(options.secret)
            var authority: Authority
            var steps: [Authority.Step] = [.made]
            if let old, !old.data.isEmpty {
                authority = try Authority(old)
                steps = try authority.advance(
                    at: now.realtime / 1000,
                    isAnnounced: announcement.hasLasted(
                        options.lifetimes.announcement, for: authority.next?.certificate, at: now), options.lifetimes)
            } else {
                authority = try Authority(madeAt: now.realtime / 1000, options.lifetimes)
            }
            var secret =
                old
                ?? SecretObject(
                    metadata: ObjectMetadata(name: options.secret, namespace: options.namespace))
            try authority.write(into: &secret)
            try await put(secret, insteadOf: old)
            for step in steps { tell(step, authority) }
            status.note(
                AuthorityStatus.authorityLabel, expiry: authority.signing.certificate.validity.notAfter,
                isNew: steps.contains(.made) || steps.contains(.announced))
            status.note(trusted: authority.trusted.count)
            return authority
        }
    }

    private func tooMany(_ authority: Authority) -> SecretProblem {
        SecretProblem(
            description: "\(authority.trusted.count) authorities are trusted already, so the one that "
                + "\(Authority.rotationAnnotation) asks for has to wait until the oldest has no certificate in use any more, "
                + "up to \(options.lifetimes.certificate.forPeople); remove the annotation if it need not be")
    }

    private func tell(_ step: Authority.Step, _ authority: Authority) {
        let signing = authority.signing.certificate
        switch step {
        case .made: log.info("Made an authority", fields(signing))
        case .announced:
            guard let next = authority.next?.certificate else { return }
            log.info("Announces a new authority, which signs when everybody knows it", fields(next))
        case .promoted: log.info("Signs with the new authority from now on", fields(signing))
        case .dropped(let count): log.info("Former authorities are trusted no more: \(count)")
        }
    }

    // MARK: What it has signed

    /// - Returns: whether its readers were told of everybody to trust already.
    private func keep(_ secret: IssuedSecret, _ authority: Authority, at now: Reading) async throws -> Bool {
        try await repeating { () async throws -> Bool in
            let old = try await readIfThere(secret.name)
            let (wanted, issued, inUse) = try secret.wanted(
                insteadOf: old, of: authority, at: now.realtime / 1000, options.lifetimes)
            try await put(wanted, insteadOf: old)
            note(secret.certificate, inUse, isNew: issued != nil)
            return IssuedSecret.bundle(of: old) == IssuedSecret.bundle(of: wanted)
        }
    }

    private func note(_ certificate: IssuedCertificate, _ inUse: Certificate, isNew: Bool) {
        status.note(certificate.label, expiry: inUse.validity.notAfter, isNew: isNew)
        if isNew { log.info("Made a certificate for \(inUse.subject)", fields(inUse)) }
    }

    /// - Returns: whether the API server was told of everybody to trust already, or does not ask a webhook at all.
    private func keepConfiguration(_ authority: Authority) async throws -> Bool {
        let pem = try authority.trusted.pem()
        bundle.withLock { $0 = pem }
        do { return try await configuration.look() } catch let error as KubernetesError where error.code == .notFound {
            return true
        }
    }

    private func fields(_ certificate: Certificate) -> KeyValuePairs<String, String> {
        [
            "serial": certificate.serialNumber,
            "end": Timestamp.format(microseconds: certificate.validity.notAfter),
        ]
    }

    // MARK: Reading and writing

    private func readIfThere(_ name: String) async throws -> SecretObject? {
        do throws(KubernetesError) {
            return try await client.read(SecretObject.self, name, namespace: options.namespace)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// - Parameter old: what `secret` was made of; nil: there was none.
    private func put(_ secret: SecretObject, insteadOf old: SecretObject?) async throws {
        if let old {
            guard let patch = secret.changed(from: old) else { return }
            _ = try await client.patch(
                SecretObject.self, secret.metadata.name ?? "", namespace: options.namespace, merge: patch)
        } else {
            _ = try await client.create(secret)
        }
    }

    /// Again, from reading on, when somebody else was faster.
    private func repeating<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        var tries = 1
        while true {
            do { return try await body() } catch let error as KubernetesError
                where [.conflict, .alreadyExists].contains(error.code) && tries < Self.triesMax
            {
                tries += 1
            }
        }
    }
}
