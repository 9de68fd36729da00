private import FoundationEssentials

extension ControlPlane {
    /// What a program did.
    package struct Outcome: Sendable, CustomStringConvertible {
        package let code: Int32
        package let out: String
        package let err: String

        package var description: String { "exit code \(code)\n\(out)\(err)" }
    }

    /// Runs the real kubectl, with nothing of this user's own configuration.
    ///
    /// - Parameters:
    ///   - kubeconfig: as whom; nil: the administrator.
    ///   - input: for `-f -`.
    package func kubectl(
        _ arguments: String..., as kubeconfig: String? = nil, input: String? = nil
    ) async throws -> Outcome {
        try await kubectl(arguments, as: kubeconfig, input: input)
    }

    package func kubectl(
        _ arguments: [String], as kubeconfig: String? = nil, input: String? = nil
    ) async throws -> Outcome {
        let process = try start(arguments, as: kubeconfig, input: input)
        return Outcome(code: await process.exitCode(), out: process.out, err: process.err)
    }

    /// Starts a kubectl that goes on, such as `kubectl get --watch`, as the administrator.
    package func startKubectl(_ arguments: String...) throws -> ChildProcess { try start(arguments) }

    private func start(
        _ arguments: [String], as kubeconfig: String? = nil, input: String? = nil
    ) throws -> ChildProcess {
        try ChildProcess(
            binaries.kubectl, arguments,
            environment: [
                // Where it caches what the API server offers.
                "HOME": directory.path, "KUBECONFIG": kubeconfig ?? admin,
                "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
            ], input: input, in: directory)
    }

    /// Runs kubectl as the administrator, for what must succeed.
    ///
    /// - Returns: what it wrote to standard output.
    @discardableResult
    package func run(_ arguments: String..., input: String? = nil) async throws -> String {
        try await run(arguments, input: input)
    }

    @discardableResult
    package func run(_ arguments: [String], input: String? = nil) async throws -> String {
        let outcome = try await kubectl(arguments, input: input)
        guard outcome.code == 0 else {
            throw ChildProcess.Failure("kubectl \(arguments.joined(separator: " ")) on \(name): \(outcome)")
        }
        return outcome.out
    }

    /// Asks the API server for a token of a service account (TokenRequest) and writes a kubeconfig (0600) with it.
    ///
    /// - Parameters:
    ///   - seconds: how long the token is good for; the API server wants 600 at least.
    ///   - path: nil: in ``directory``.
    /// - Returns: the path of the file. The account is made when there is none.
    package func serviceAccount(
        _ account: String, in namespace: String, seconds: Int = 86_400, to path: String? = nil
    ) async throws -> String {
        if try await kubectl("get", "serviceaccount", account, "--namespace", namespace).code != 0 {
            try await run("create", "serviceaccount", account, "--namespace", namespace)
        }
        // `kubectl create token` is newer than some kubectls that are in use.
        let answer = try await run(
            "create", "--raw", "/api/v1/namespaces/\(namespace)/serviceaccounts/\(account)/token", "--filename", "-",
            input: """
                {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                 "spec": {"expirationSeconds": \(seconds)}}
                """)
        let token = try JSONDecoder().decode(TokenRequest.self, from: Data(answer.utf8)).status.token
        let path = path ?? directory.file("\(name).\(namespace).\(account).kubeconfig")
        try writeKubeconfig(user: account, token: token, namespace: namespace, to: path)
        return path
    }

    private struct TokenRequest: Decodable {
        struct Status: Decodable { let token: String }
        let status: Status
    }
}
