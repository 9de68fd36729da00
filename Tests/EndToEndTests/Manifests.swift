import FoundationEssentials
import Support

/// A folder of `config/`, as kubectl builds it for an API server of the tests.
struct Manifests {
    let documents: [String]

    /// Whether this machine's kubectl is 1.21 or later: the kustomize of older ones, such as Debian's, takes no folder as a
    /// resource.
    static func canBeBuilt() async throws -> Bool {
        let directory = try TemporaryDirectory()
        let process = try ChildProcess(
            ControlPlaneBinaries.find().kubectl, ["kustomize", ControlPlane.projectFile("config/default")],
            in: directory)
        return await process.exitCode() == 0 || !process.err.contains("must be a file")
    }

    static func build(_ folder: String, by plane: ControlPlane) async throws -> Manifests {
        Manifests(text: try await plane.run("kustomize", ControlPlane.projectFile("config/\(folder)")))
    }

    init(text: String) {
        // The API servers of the tests may be of Kubernetes 1.20.
        documents = text.replacing("apiVersion: policy/v1\n", with: "apiVersion: policy/v1beta1\n")
            .split(separator: "\n---\n").map(String.init)
    }

    var text: String { documents.joined(separator: "\n---\n") }

    /// The objects whose kind ends with one of `kinds`.
    func only(_ kinds: String...) -> String {
        documents.filter { document in
            let kind = document.split(separator: "\n").first { $0.hasPrefix("kind: ") } ?? ""
            return kinds.contains { kind.hasSuffix($0) }
        }.joined(separator: "\n---\n")
    }
}
