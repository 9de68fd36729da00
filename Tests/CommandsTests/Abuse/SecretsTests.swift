import FoundationEssentials
import Glibc
import Support
import Testing

/// That nobody finds a key or a token in what a process leaves behind.
struct SecretsTests {
    private static let token = "a-token-that-nobody-else-has-5f1c7e"

    /// Where the kernel puts cores that it is not told to hand to a program: a file of this name in the directory.
    private static let coreName: String? = {
        let pattern = (try? String(contentsOfFile: "/proc/sys/kernel/core_pattern", encoding: .utf8)) ?? ""
        let name = pattern.split(separator: "\n").first ?? ""
        return name == "core" ? "core" : nil
    }()

    private static let kubeconfig = """
        apiVersion: v1
        kind: Config
        current-context: nowhere
        contexts: [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "somebody"}}]
        clusters: [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}]
        users: [{"name": "somebody", "user": {"token": "\(token)"}}]
        """

    /// A process that may write a core into `directory`, and has the token and a key in its memory.
    private func process(in directory: TemporaryDirectory) async throws -> ChildProcess {
        try directory.write(Self.kubeconfig, to: "kubeconfig")
        let kubectl = try ControlPlaneBinaries.find().kubectl
        let arguments = [
            try ChildProcess.leasehold(), "run", "--cluster", "south", "--kubeconfig", directory.file("kubeconfig"),
            "--bind-address", "127.0.0.1:0", "--health-probe-bind-address", "0", "--metrics-bind-address", "0",
            "--state-directory", directory.path, "--store", "file:\(directory.file("store"))", "--log-level", "debug",
        ]
        let process = try ChildProcess(
            "/bin/sh", ["-c", #"cd "$0" && ulimit -c unlimited && exec "$@""#, directory.path] + arguments,
            environment: [
                "HOME": directory.path, "PATH": kubectl.replacing("/kubectl", with: ""),
                // Swift's runtime would catch the signal, to write a backtrace, where it is told to.
                "SWIFT_BACKTRACE": "enable=no",
            ], in: directory)
        try await eventually("it has started") {
            guard !process.hasExited else { throw ChildProcess.Failure(process.err) }
            return process.port("admissions") != nil
        }
        return process
    }

    /// The key as PEM, as a number in either order of its bytes, and the token.
    private func secrets(in directory: TemporaryDirectory) throws -> [String: [UInt8]] {
        let pem = try String(contentsOfFile: directory.file("clusters/south/tls/tls.key"), encoding: .utf8)
        let lines = pem.split(separator: "\n").filter { !$0.hasPrefix("-----") }
        let key = try #require(Data(base64Encoded: lines.joined()))
        // In PKCS #8 (RFC 5958, RFC 5915): version 1, then an octet string of the curve's 32 bytes.
        let start = try #require(key.firstRange(of: [0x02, 0x01, 0x01, 0x04, 0x20])).upperBound
        let number = [UInt8](key[start..<start + 32])
        return [
            "PEM": [UInt8](lines[0].utf8), "number": number, "OpenSSL's number": number.reversed(),
            "token": [UInt8](Self.token.utf8),
        ]
    }

    /// The names of those that the bytes of a file hold.
    private func found(_ secrets: [String: [UInt8]], in file: String) throws -> Set<String> {
        let bytes = try Data(contentsOf: URL(filePath: file))
        let names = secrets.filter { _, secret in ByteSearch.contains(secret, in: bytes) }
        return Set(names.keys)
    }

    @Test(
        .enabled(if: coreName != nil, "/proc/sys/kernel/core_pattern is not core"),
        .disabled(if: Sanitizer.isPresent, "a sanitizer forbids core dumps, which would hold terabytes of its own"),
        arguments: [true, false])
    func `a core dump holds no key and no token, unlike one with memory`(asItIs: Bool) async throws {
        let directory = try TemporaryDirectory()
        let process = try await process(in: directory)
        // What makes the difference, to see that the search finds what is there.
        if !asItIs {
            try Data("0x33".utf8).write(to: URL(filePath: "/proc/\(process.pid)/coredump_filter"))
        }
        process.send(SIGABRT)
        #expect(await process.exitCode() == -SIGABRT)
        let names = try directory.names().filter { $0.hasPrefix("core") }
        let core = directory.file(try #require(names.first))
        let found = try found(secrets(in: directory), in: core)
        if asItIs { #expect(found == []) } else { #expect(found.isSuperset(of: ["OpenSSL's number", "token"])) }
        #expect(try self.found(["ELF": [0x7F] + [UInt8]("ELF".utf8)], in: core) == ["ELF"])
    }

    @Test func `the most talkative log holds no key and no token`() async throws {
        let directory = try TemporaryDirectory()
        let process = try await process(in: directory)
        try await eventually("it says that the API server cannot be reached") { process.err.contains("127.0.0.1:1") }
        process.send(SIGTERM)
        _ = await process.exitCode()
        let log = directory.file("log")
        try Data((process.out + process.err).utf8).write(to: URL(filePath: log))
        #expect(try found(secrets(in: directory), in: log) == [])
        #expect(try found(["cluster": [UInt8]("south".utf8)], in: log) == ["cluster"])
    }
}
