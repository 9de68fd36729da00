internal import Election
private import FoundationEssentials
private import Glibc
internal import HTTP
private import Platform

/// A program that gives out credentials (client.authentication.k8s.io, `ExecCredential`), such as GKE's.
struct ExecPlugin: Sendable {
    struct Credential: Sendable {
        var token: String?
        var identity: HTTPClient.Options.Identity?
        /// From the end of the run; negative: long ago; nil: it does not say.
        var expiresAfter: Duration?
    }

    static let apiVersions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"]
    /// A plugin may have to fetch a token over the network.
    private static let timeout = Duration.seconds(60)
    private static let outputBytesMax = 1 << 20

    let apiVersion: String
    /// As the kubeconfig has it, for people.
    let command: String
    let arguments: [String]
    /// All of it; the kubeconfig's own additions included.
    let environment: [String: String]
    /// What to do when there is no such program.
    let installHint: String?
    /// What the plugin is told of the cluster, JSON.
    let information: String
    /// Where a relative path to the program starts.
    let directories: [String]

    func run() async throws(KubernetesError) -> Credential {
        guard let path = program else { throw failure("there is no such program", installHint) }
        var environment = environment
        environment["KUBERNETES_EXEC_INFO"] = information
        let run = Subprocess(
            path: path, arguments: arguments, environment: environment, timeout: Self.timeout,
            outputBytesMax: Self.outputBytesMax)
        let result: Subprocess.Result
        do throws(Subprocess.Failure) { result = try await run.run() } catch {
            throw failure(error.text(limit: Self.timeout), installHint)
        }
        guard result.code == 0 else {
            throw failure(Subprocess.ending(result.code, result.complaint), "Run it by hand to see why")
        }
        return try credential(in: result.output)
    }

    private var program: String? {
        guard command.contains("/"), !command.hasPrefix("/") else {
            return Subprocess.find(command, environment: environment)
        }
        return directories.lazy.compactMap { Subprocess.find("\($0)/\(command)", environment: environment) }.first
    }

    private func failure(_ what: String, _ advice: String? = nil) -> KubernetesError {
        KubernetesError(
            .credentials,
            "The credential plugin \(command) of the kubeconfig gave no credentials: \(what)"
                + (advice.map { ". \($0.trimmed)" } ?? ""))
    }

    // MARK: What it answers

    private struct Answer: Decodable {
        struct Status: Decodable {
            var token: String?
            var clientCertificateData: String?
            var clientKeyData: String?
            var expirationTimestamp: String?
        }

        var apiVersion: String?
        var kind: String?
        var status: Status?
    }

    func credential(in output: [UInt8]) throws(KubernetesError) -> Credential {
        // Never quoted: it holds the secret.
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(output)), answer.kind == "ExecCredential"
        else { throw failure("its output is no ExecCredential", "Run it by hand to see what it prints") }
        guard answer.apiVersion == apiVersion else {
            throw failure(
                "it answers in \(answer.apiVersion ?? "no version"), the kubeconfig asks for \(apiVersion)",
                "Update the plugin or the kubeconfig")
        }
        guard let status = answer.status else { throw failure("its ExecCredential has no status") }
        var credential = Credential()
        credential.token = status.token.flatMap { $0.isEmpty ? nil : $0 }
        switch (status.clientCertificateData, status.clientKeyData) {
        case (let chain?, let key?) where !chain.isEmpty && !key.isEmpty:
            credential.identity = HTTPClient.Options.Identity(chain: Array(chain.utf8), key: Array(key.utf8))
        case (nil, nil): break
        default: throw failure("its ExecCredential has only one of certificate and key")
        }
        guard credential.token != nil || credential.identity != nil else {
            throw failure("its ExecCredential has neither a token nor a certificate")
        }
        if let text = status.expirationTimestamp {
            guard let expiry = Self.microseconds(text) else {
                throw failure("its expirationTimestamp is no RFC 3339 time: \(text.prefix(40))")
            }
            credential.expiresAfter = .microseconds(expiry - Reading.now().realtime / 1000)
        }
        return credential
    }

    // Kubernetes writes UTC; some plugins write another offset.
    private static func microseconds(_ text: String) -> Int64? {
        if let time = Timestamp.parse(text) { return time }
        let date =
            (try? Date(text, strategy: .iso8601))
            ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
        return date.map { Int64($0.timeIntervalSince1970 * 1e6) }
    }
}

extension Subprocess {
    /// How a program has ended, as part of a sentence.
    static func ending(_ code: Int32, _ complaint: String) -> String {
        let ending = code < 0 ? "signal \(-code) ended it" : "it ended with exit code \(code)"
        return complaint.isEmpty ? ending : "\(ending): \(complaint)"
    }
}

extension Subprocess.Failure {
    /// As part of a sentence.
    func text(limit: Duration) -> String {
        switch self {
        // strerror(3) is safe on any thread for the codes that Linux knows.
        case .notStarted(let code): "it could not be started: \(unsafe String(cString: strerror(code)))"
        case .timedOut(let complaint):
            "it was ended after \(limit.components.seconds) s\(complaint.isEmpty ? "" : ": \(complaint)")"
        case .tooMuchOutput: "its output did not end"
        }
    }
}
