import FoundationEssentials
import Testing

/// What the fuzzer has found worth keeping, once more: inputs that reach each branch, and those that found a bug.
@Suite struct CorpusTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Corpus")

    @Test(arguments: FuzzTarget.allCases) func `every input of the corpus keeps the promises`(target: FuzzTarget) throws
    {
        let folder = Self.folder.appending(path: target.rawValue)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(!names.isEmpty, "no inputs")
        for name in names {
            let bytes = [UInt8](try Data(contentsOf: folder.appending(path: name)))
            do throws(Finding) { try target.run(bytes) } catch { Issue.record("\(name): \(error)") }
        }
    }
}
