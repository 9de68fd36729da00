import FoundationEssentials

/// AdmissionReviews as a kube-apiserver sent them, byte for byte.
enum Fixture {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures")

    /// File names, in the order in which the API server sent them.
    static let names: [String] = {
        let all = try! FileManager.default.contentsOfDirectory(atPath: folder.path)
        return all.filter { $0.hasSuffix(".json") }.sorted()
    }()

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: folder.appending(path: name)))
    }
}
