private import FoundationEssentials

/// Where the programs of a control plane are: `scripts/control-plane.sh` makes what is missing.
package struct ControlPlaneBinaries: Sendable {
    package let etcd: String
    package let server: String
    package let kubectl: String

    /// Looks in `KUBEBUILDER_ASSETS`, in the cache that the script fills, and in `PATH`; there first for kubectl.
    package static func find(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws -> ControlPlaneBinaries {
        var assets = [environment["KUBEBUILDER_ASSETS"]].compactMap(\.self).filter { !$0.isEmpty }
        if assets.isEmpty, let cache = environment["XDG_CACHE_HOME"] ?? environment["HOME"].map({ $0 + "/.cache" }) {
            assets = ["\(cache)/leasehold/kubernetes-1.20.2-2"]
        }
        let path = (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        return ControlPlaneBinaries(
            etcd: try find("etcd", in: assets + path), server: try find("kube-apiserver", in: assets + path),
            kubectl: try find("kubectl", in: path + assets))
    }

    private static func find(_ name: String, in directories: [String]) throws -> String {
        for directory in directories where FileManager.default.isExecutableFile(atPath: "\(directory)/\(name)") {
            return "\(directory)/\(name)"
        }
        throw ChildProcess.Failure(
            "no \(name) in \(directories.joined(separator: " ")); run scripts/control-plane.sh, or name a directory that "
                + "has it by KUBEBUILDER_ASSETS")
    }
}
