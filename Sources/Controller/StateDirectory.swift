private import Election
private import FoundationEssentials
private import Glibc

/// Where `leasehold run` keeps what must outlive it: the cluster's uid, its certificates, the default file store.
///
/// Clusters that share one machine may share the directory: each has a folder of its own in it. Processes that share
/// the directory *and* the cluster's name are replicas of one cluster; with another directory the same name is another
/// cluster, which the election refuses.
package struct StateDirectory: Sendable {
    /// The directory that was given; for all clusters.
    package let path: String
    private let clusterPath: String

    /// For the file store that is used when no other is named; the clusters of this directory share it. Not made here.
    package var store: String { path + "/store" }
    /// For the certificates that this cluster makes itself; exists, readable for this user only.
    package var certificates: String { clusterPath + "/tls" }

    /// Makes the directory, and the cluster's folders in it, where they do not exist.
    ///
    /// - Parameter cluster: a valid cluster name, hence a file name.
    package init(_ path: String, cluster: String) throws(ControllerError) {
        precondition(RecordName.isValid(cluster), "a cluster's name is checked before")
        guard !path.isEmpty else { throw .stateDirectory("the state directory's name is empty; name a directory") }
        self.path = path
        clusterPath = path + "/clusters/" + cluster
        try Self.make(clusterPath + "/tls")
    }

    /// Where the state directory is when none was named: `$XDG_STATE_HOME/leasehold`, else
    /// `$HOME/.local/state/leasehold` (XDG Base Directory Specification, which has relative paths ignored).
    package static func defaultPath(environment: [String: String]) throws(ControllerError) -> String {
        if let state = environment["XDG_STATE_HOME"], state.hasPrefix("/") { return state + "/leasehold" }
        if let home = environment["HOME"], home.hasPrefix("/") { return home + "/.local/state/leasehold" }
        throw .stateDirectory(
            "there is no default state directory, because neither XDG_STATE_HOME nor HOME is an absolute path; set one "
                + "of them, or name the directory")
    }

    /// For the certificates that this cluster's controllers and webhooks of this machine know each other by; made where it
    /// does not exist, readable for this user only.
    package func grants() throws(ControllerError) -> String {
        let directory = clusterPath + "/grants"
        try Self.make(directory)
        return directory
    }

    /// For the certificate that this cluster's controllers serve grants with when their authority is in a Secret; made where it
    /// does not exist, readable for this user only.
    package func issuedForGrants() throws(ControllerError) -> String {
        let directory = clusterPath + "/grants-issued"
        try Self.make(directory)
        return directory
    }

    /// The cluster's uid: made at the first call, the same ever after, in every process.
    package func uid() throws(ControllerError) -> String {
        let file = clusterPath + "/uid"
        if let uid = try Self.readUID(file) { return uid }

        // Written whole under another name and then linked: of many that start at once, one link succeeds, and nobody,
        // not even after a crash, ever sees a part.
        let uid = UUID().uuidString.lowercased()
        let temporary = "\(file).\(uid).tmp"
        defer { unsafe unlink(temporary) }
        try Self.write(uid + "\n", toNew: temporary)
        guard unsafe link(temporary, file) == 0 || errno == EEXIST else {
            throw Self.error("could not make \(file)", errno)
        }
        try Self.sync(clusterPath)
        guard let agreed = try Self.readUID(file) else {
            throw .stateDirectory("\(file) was deleted while it was being made; start again")
        }
        return agreed
    }

    private static func readUID(_ file: String) throws(ControllerError) -> String? {
        let descriptor = unsafe open(file, O_RDONLY | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw error("could not open \(file)", errno) }
        defer { close(descriptor) }
        // One byte more than a UUID and its newline, so that a longer file is noticed.
        var bytes = [UInt8](repeating: 0, count: 38)
        var length = 0
        while length < bytes.count {
            let count = unsafe bytes.withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor, $0.baseAddress! + length, $0.count - length)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw error("could not read \(file)", errno) }
            if count == 0 { break }
            length += count
        }
        let text = String(decoding: bytes[..<length], as: UTF8.self)
        let line = text.hasSuffix("\n") ? String(text.dropLast()) : text
        guard let uuid = UUID(uuidString: line) else {
            throw .stateDirectory(
                "\(file) does not hold a UUID; restore it from a backup, or delete it, if no run of this cluster is "
                    + "active: the cluster is then a new one, which waits for the old one's leases to run out")
        }
        return uuid.uuidString.lowercased()
    }

    private static func write(_ text: String, toNew file: String) throws(ControllerError) {
        let descriptor = unsafe open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw error("could not make \(file)", errno) }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw error("could not write \(file)", errno) }
            written += count
        }
        guard fsync(descriptor) == 0 else { throw error("could not flush \(file)", errno) }
    }

    private static func sync(_ directory: String) throws(ControllerError) {
        let descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw error("could not open \(directory)", errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw error("could not flush \(directory)", errno) }
    }

    /// Makes a directory and its parents, for this user only (0700), and makes them last.
    private static func make(_ directory: String, hasParent: Bool = false) throws(ControllerError) {
        if unsafe mkdir(directory, 0o700) == 0 {
            try sync(parent(of: directory))
        } else if errno == ENOENT, !hasParent, parent(of: directory) != directory {
            try make(parent(of: directory))
            // Some file systems, such as /proc, say "no such file" of what cannot be made, whatever its parent.
            try make(directory, hasParent: true)
        } else {
            let (failure, descriptor) = (errno, unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
            // Also when a file is in the way: EEXIST does not say what exists.
            guard descriptor >= 0 else {
                throw error("could not make the directory \(directory)", failure == EEXIST ? errno : failure)
            }
            close(descriptor)
        }
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        let parent = path[..<slash]
        return parent.isEmpty ? "/" : String(parent)
    }

    private static func error(_ attempt: String, _ code: Int32) -> ControllerError {
        // strerror(3) is safe on any thread for the codes that Linux knows.
        let reason = unsafe String(cString: strerror(code))
        return .stateDirectory(
            "\(attempt): \(reason); make it usable for the user that this process runs as, or name another directory")
    }
}
