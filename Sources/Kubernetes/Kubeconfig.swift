internal import FoundationEssentials

/// The answer of `kubectl config view --raw --minify --flatten -o json`: one context, its cluster and its user.
///
/// kubectl itself reads the files: their YAML, their merging and their defaults are its business.
struct Kubeconfig: Decodable {
    struct NamedContext: Decodable {
        struct Context: Decodable {
            var namespace: String?
        }

        var context: Context
    }

    struct NamedCluster: Decodable {
        var cluster: Cluster
    }

    struct Cluster: Decodable {
        struct Extension: Decodable {
            var name: String
            var `extension`: JSONValue?
        }

        var server: String?
        var authorities: Data?
        var isInsecure: Bool?
        var serverName: String?
        var proxy: String?
        var extensions: [Extension]?

        enum CodingKeys: String, CodingKey {
            case server
            case authorities = "certificate-authority-data"
            case isInsecure = "insecure-skip-tls-verify"
            case serverName = "tls-server-name"
            case proxy = "proxy-url"
            case extensions
        }
    }

    struct NamedUser: Decodable {
        var user: User
    }

    struct User: Decodable {
        struct Provider: Decodable {
            var name: String?
        }

        var certificate: Data?
        var key: Data?
        var token: String?
        var tokenFile: String?
        var username: String?
        var password: String?
        var impersonates: String?
        var provider: Provider?
        var plugin: Plugin?

        enum CodingKeys: String, CodingKey {
            case certificate = "client-certificate-data"
            case key = "client-key-data"
            case token
            case tokenFile
            case username
            case password
            case impersonates = "as"
            case provider = "auth-provider"
            case plugin = "exec"
        }
    }

    struct Plugin: Decodable {
        struct Variable: Decodable {
            var name: String
            var value: String
        }

        var apiVersion: String?
        var command: String
        var args: [String]?
        var env: [Variable]?
        var installHint: String?
        var provideClusterInfo: Bool?
        var interactiveMode: String?
    }

    let contexts: [NamedContext]?
    let clusters: [NamedCluster]?
    let users: [NamedUser]?

    // MARK: Asking kubectl

    private static let timeout = Duration.seconds(20)
    private static let outputBytesMax = 8 << 20

    static func load(
        path: String?, context: String?, environment: [String: String]
    ) async throws(KubernetesError) -> KubernetesCredentials {
        let view = "kubectl config view"
        guard let kubectl = Subprocess.find("kubectl", environment: environment) else {
            throw KubernetesError(
                .credentials,
                "Could not read the kubeconfig: there is no kubectl on PATH, which reads it. Install kubectl")
        }
        let run = Subprocess(
            path: kubectl,
            arguments: ["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]
                + (path.map { ["--kubeconfig=\($0)"] } ?? []) + (context.map { ["--context=\($0)"] } ?? []),
            environment: environment, timeout: timeout, outputBytesMax: outputBytesMax)
        let result: Subprocess.Result
        do throws(Subprocess.Failure) { result = try await run.run() } catch {
            throw KubernetesError(
                .credentials, "Could not read the kubeconfig with `\(view)`: \(error.text(limit: timeout))")
        }
        let name = path.map { "the kubeconfig \($0)" } ?? "the kubeconfig that kubectl finds"
        guard result.code == 0 else {
            throw KubernetesError(
                .credentials,
                "Could not read \(name) with `\(view)`: \(Subprocess.ending(result.code, result.complaint))")
        }
        // Never quoted: it holds secrets.
        let config: Kubeconfig
        do { config = try JSONDecoder().decode(Kubeconfig.self, from: Data(result.output)) } catch {
            throw KubernetesError(
                .credentials,
                "Could not understand what `\(view)` says of \(name): \(APICall.reason(error)). Update kubectl, or mend it"
            )
        }
        let directories = directories(path: path, environment: environment)
        do throws(KubernetesError) {
            return try config.credentials(directories: directories, environment: environment)
        } catch { throw KubernetesError(error.code, "Cannot use \(name): \(error.message)") }
    }

    // kubectl makes no path absolute but those of files whose contents it takes in (certificates and keys).
    private static func directories(path: String?, environment: [String: String]) -> [String] {
        var files = path.map { [$0] } ?? []
        if files.isEmpty { files = (environment["KUBECONFIG"] ?? "").split(separator: ":").map(String.init) }
        if files.isEmpty, let home = environment["HOME"] { files = ["\(home)/.kube/config"] }
        return files.map { file in
            guard let slash = file.lastIndex(of: "/") else { return "." }
            return slash == file.startIndex ? "/" : String(file[..<slash])
        }
    }
}
