import FoundationEssentials
import Support

/// A Deployment of `config/manager`, with its defaults, as the API server has it.
struct Deployment: Decodable, Sendable {
    struct Metadata: Decodable, Sendable { let name: String }
    struct Spec: Decodable, Sendable {
        let replicas: Int
        let strategy: Strategy
        let template: Template
    }
    struct Strategy: Decodable, Sendable { let rollingUpdate: [String: Int]? }
    struct Template: Decodable, Sendable {
        struct Metadata: Decodable, Sendable { let labels: [String: String] }
        let metadata: Metadata
        let spec: Pod
    }

    let metadata: Metadata
    let spec: Spec

    /// In the order of their names.
    static func all(on plane: ControlPlane) async throws -> [Deployment] {
        struct List: Decodable { let items: [Deployment] }
        let text = try await plane.run(
            "get", "deployments", "--namespace", ControlPlane.systemNamespace, "--output", "json")
        return try JSONDecoder().decode(List.self, from: Data(text.utf8)).items
    }
}

struct Pod: Decodable, Sendable {
    struct Security: Decodable, Sendable {
        struct Seccomp: Decodable { let type: String }
        let runAsNonRoot: Bool?
        let runAsUser: Int?
        let runAsGroup: Int?
        let seccompProfile: Seccomp?
    }
    struct Container: Decodable, Sendable {
        struct Security: Decodable, Sendable {
            let allowPrivilegeEscalation: Bool?
            let readOnlyRootFilesystem: Bool?
            let privileged: Bool?
            let capabilities: [String: [String]]?
        }
        struct Resources: Decodable, Sendable {
            let requests: [String: String]?
            let limits: [String: String]?
        }
        struct Probe: Decodable, Sendable {}
        struct Mount: Decodable, Sendable {
            let name: String
            let mountPath: String
        }
        struct Variable: Decodable, Sendable {
            let name: String
            let value: String?
        }
        struct Port: Decodable, Sendable { let name: String }
        let args: [String]
        let env: [Variable]
        let ports: [Port]
        let securityContext: Security?
        let resources: Resources
        let livenessProbe: Probe?
        let readinessProbe: Probe?
        let volumeMounts: [Mount]
    }
    struct Volume: Decodable, Sendable {
        struct Secret: Decodable, Sendable {
            let secretName: String
            let defaultMode: Int
        }
        struct Directory: Decodable, Sendable {
            let medium: String
            let sizeLimit: String
        }
        let name: String
        let secret: Secret?
        let emptyDir: Directory?
    }
    struct Spread: Decodable, Sendable { let topologyKey: String }

    let serviceAccountName: String
    let automountServiceAccountToken: Bool?
    let priorityClassName: String?
    let hostNetwork: Bool?
    let securityContext: Security
    let containers: [Container]
    let volumes: [Volume]
    let topologySpreadConstraints: [Spread]?

    /// What Kubernetes' Pod Security Standard "restricted" forbids, and some more of that kind.
    var problems: [String] {
        var problems: [String] = []
        func check(_ isGood: Bool, _ problem: String) {
            if !isGood { problems.append(problem) }
        }
        check(securityContext.runAsNonRoot == true && (securityContext.runAsUser ?? 0) > 0, "may run as root")
        check((securityContext.runAsGroup ?? 0) > 0, "runs in root's group")
        check(securityContext.seccompProfile?.type == "RuntimeDefault", "every system call is let through")
        check(hostNetwork != true, "is in the node's network")
        check(containers.count == 1, "is more than one container")
        for container in containers {
            let security = container.securityContext
            check(security?.allowPrivilegeEscalation == false, "may gain privileges")
            check(security?.readOnlyRootFilesystem == true, "may write to the image")
            check(security?.privileged != true, "is privileged")
            check(security?.capabilities == ["drop": ["ALL"]], "keeps capabilities")
            check(Set(container.resources.requests?.keys ?? [:].keys) == ["cpu", "memory"], "asks for no resources")
            check(
                Set(container.resources.limits?.keys ?? [:].keys) == ["memory"], "may use all memory, or is throttled")
            check(container.livenessProbe != nil && container.readinessProbe != nil, "is not looked after")
        }
        for volume in volumes {
            let isInMemory = volume.emptyDir.map { $0.medium == "Memory" } ?? true
            check((volume.secret != nil) != (volume.emptyDir != nil) && isInMemory, "mounts \(volume.name) from a disk")
            check(volume.secret.map { $0.defaultMode == 0o440 } ?? true, "lets others read \(volume.name)")
        }
        return problems
    }
}
