import FoundationEssentials
import Glibc
import Support

/// A Secret in a directory, as a kubelet projects it into a pod: files are symbolic links into a directory that a symbolic
/// link leads to, which is turned when the Secret has changed, so that all files change at once (Kubernetes' `AtomicWriter`).
struct ProjectedSecret: Sendable {
    let directory: String

    init(in directory: String) throws {
        self.directory = directory
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    func file(_ name: String) -> String { "\(directory)/\(name)" }

    func write(_ data: [String: [UInt8]]) throws {
        let files = FileManager.default
        let version = "..\(UUID().uuidString)"
        try files.createDirectory(atPath: file(version), withIntermediateDirectories: false)
        for (name, bytes) in data {
            try SecretFile.write(String(decoding: bytes, as: UTF8.self), to: "\(file(version))/\(name)")
        }
        let old = try? files.destinationOfSymbolicLink(atPath: file("..data"))
        try files.createSymbolicLink(atPath: file("..new"), withDestinationPath: version)
        guard unsafe rename(file("..new"), file("..data")) == 0 else {
            throw ChildProcess.Failure("cannot turn \(file("..data")): \(unsafe String(cString: strerror(errno)))")
        }
        for name in data.keys where (try? files.destinationOfSymbolicLink(atPath: file(name))) == nil {
            try files.createSymbolicLink(atPath: file(name), withDestinationPath: "..data/\(name)")
        }
        if let old { try files.removeItem(atPath: file(old)) }
    }
}
