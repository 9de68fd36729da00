import FoundationEssentials
import Glibc
import Testing

@testable import Controller

@Suite struct StateDirectoryTests {
    /// A directory of this test's own, removed with it.
    private final class Trial {
        let path = FileManager.default.temporaryDirectory.path + "/leasehold-test-" + UUID().uuidString

        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private let trial = Trial()

    private func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? Int)
    }

    @Test(arguments: 0..<10)
    func `starts at the same time agree on one uid, which stays`(round: Int) async throws {
        let path = trial.path + "/some/state"
        let uids = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<20 {
                group.addTask { try StateDirectory(path, cluster: "east").uid() }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(uids.count == 1)
        let uid = try #require(uids.first)
        #expect(UUID(uuidString: uid) != nil)
        #expect(try StateDirectory(path, cluster: "east").uid() == uid)
        // Nothing is left of those that lost.
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: path + "/clusters/east").sorted() == ["tls", "uid"])
    }

    @Test func `clusters that share a directory have different uids and folders, but one store`() throws {
        let east = try StateDirectory(trial.path, cluster: "east")
        let west = try StateDirectory(trial.path, cluster: "west")
        #expect(try east.uid() != west.uid())
        #expect(east.certificates != west.certificates)
        #expect(east.store == west.store)
    }

    @Test func `one name in two directories is two clusters`() throws {
        let one = try StateDirectory(trial.path + "/one", cluster: "east")
        let other = try StateDirectory(trial.path + "/other", cluster: "east")
        #expect(try one.uid() != other.uid())
    }

    @Test func `what it makes is for its own user only`() throws {
        let directory = try StateDirectory(trial.path, cluster: "east")
        _ = try directory.uid()
        #expect(try mode(trial.path) == 0o700)
        #expect(try mode(directory.certificates) == 0o700)
        #expect(try mode(trial.path + "/clusters/east/uid") == 0o600)
    }

    @Test(arguments: ["", "east", "3f1c", String(repeating: "0", count: 100)])
    func `a damaged uid is refused and left as it is`(text: String) throws {
        let directory = try StateDirectory(trial.path, cluster: "east")
        let file = trial.path + "/clusters/east/uid"
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        let error = #expect(throws: ControllerError.self) { try directory.uid() }
        #expect(error?.description.contains(file) == true)
        #expect(try String(contentsOfFile: file, encoding: .utf8) == text)
    }

    @Test func `a file in the way is named`() throws {
        try "".write(toFile: trial.path, atomically: false, encoding: .utf8)
        let error = #expect(throws: ControllerError.self) { try StateDirectory(trial.path, cluster: "east") }
        #expect(error?.description.contains(trial.path) == true)
        #expect(error?.description.contains("Not a directory") == true)
    }

    @Test func `a directory that cannot be made although its parent exists is named`() {
        // The kernel says ENOENT there, as if the parent were missing.
        let error = #expect(throws: ControllerError.self) { try StateDirectory("/proc/state", cluster: "east") }
        #expect(error?.description.contains("/proc/state") == true)
    }

    @Test func `a directory without a name is refused`() {
        #expect(throws: ControllerError.self) { try StateDirectory("", cluster: "east") }
    }

    @Test func `the default is where the XDG rules have it`() throws {
        #expect(
            try StateDirectory.defaultPath(environment: ["XDG_STATE_HOME": "/var/state", "HOME": "/home/a"])
                == "/var/state/leasehold")
        #expect(
            try StateDirectory.defaultPath(environment: ["XDG_STATE_HOME": "relative", "HOME": "/home/a"])
                == "/home/a/.local/state/leasehold")
        #expect(try StateDirectory.defaultPath(environment: ["HOME": "/home/a"]) == "/home/a/.local/state/leasehold")
        #expect(throws: ControllerError.self) { try StateDirectory.defaultPath(environment: [:]) }
    }
}
