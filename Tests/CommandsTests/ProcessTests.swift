import Election
import FoundationEssentials
import Glibc
import Storage
import Support
import Testing

@testable import Commands

/// What only the built program can show: exit codes, streams, signals.
struct ProcessTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func run(
        _ arguments: String..., environment: [String: String] = [:]
    ) async throws -> (code: Int32, out: String, err: String) {
        let process = try ChildProcess(
            leasehold: arguments, environment: environment.merging(["HOME": directory.path]) { given, _ in given },
            in: directory)
        return (await process.exitCode(), process.out, process.err)
    }

    @Test func `answers go to standard output, errors to standard error, in one line`() async throws {
        let version = try await run("version")
        #expect(version.code == 0)
        #expect(version.out.hasPrefix("leasehold "))
        #expect(version.err.isEmpty)
        let help = try await run("run", "--help")
        #expect(help.code == 0)
        #expect(help.out.contains("--lease-duration"))
        let wrong = try await run("run", "--lease-duration", "1h")
        #expect(wrong.code == 2)
        #expect(wrong.out.isEmpty)
        #expect(wrong.err.hasPrefix("leasehold run: --lease-duration got \"1h\"; allowed: "))
        #expect(wrong.err.split(separator: "\n").count == 1)
    }

    @Test func `takes its environment's variables`() async throws {
        let wrong = try await run("status", environment: ["LEASEHOLD_OUTPUT": "xml"])
        #expect(wrong.code == 2)
        #expect(
            wrong.err
                == "leasehold status: LEASEHOLD_OUTPUT (for --output) got \"xml\"; allowed: one of table, wide, json, yaml\n"
        )
    }

    @Test func `hears that a program has ended, even when whoever started it ignores such news`() async throws {
        // What is ignored stays so across exec(3).
        let kubectl = directory.file("kubectl")
        try Data("#!/bin/sh\necho it is broken >&2\nexit 3\n".utf8).write(to: URL(filePath: kubectl))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: kubectl)
        let process = try ChildProcess(
            "/usr/bin/env",
            ["--ignore-signal=CHLD", try ChildProcess.leasehold(), "doctor", "--kubeconfig", "/dev/null"],
            environment: ["PATH": directory.path, "HOME": directory.path], in: directory)
        #expect(await process.exitCode() == 3)
        #expect(process.out.contains("it ended with exit code 3"), "\(process.out)\(process.err)")
    }

    @Test func `an error that quotes a record is one line of text`() async throws {
        let leases = "\(directory.path)/store/leases"
        try FileManager.default.createDirectory(atPath: leases, withIntermediateDirectories: true)
        try FileManager.default.createDirectory(
            atPath: "\(directory.path)/store/members", withIntermediateDirectories: true)
        let record = LeaseRecord.made(holder: "\u{1B}[2J\nevil").encoded()
        try Data(record).write(to: URL(filePath: "\(leases)/team-a"))
        let transfer = try await run("transfer", "team-a", "--clear", "--store", "file:\(directory.path)/store")
        #expect(transfer.code == 1)
        #expect(transfer.err.contains(#"holderIdentity "?[2J?evil""#))
        #expect(transfer.err.split(separator: "\n").count == 1)
    }

    @Test func `does not make a store by looking for one`() async throws {
        let status = try await run("status")
        #expect(status.code == 1)
        #expect(status.err.contains("\(directory.path)/.local/state/leasehold/store"))
        #expect(status.err.split(separator: "\n").count == 1)
        #expect(!FileManager.default.fileExists(atPath: "\(directory.path)/.local"))
    }

    @Test(arguments: [
        (["--cluster", "east"], "--namespace got nothing; allowed: "),
        (["--cluster", "east", "--namespace", "a", "--lease-duration", "5"], "--lease-duration 5s is too short for "),
        (
            ["--cluster", "east", "--namespace", "a", "--renew-interval", "1s", "--store-timeout", "2s"],
            "--store-timeout got 2s; allowed: at most the --renew-interval, 1s"
        ),
        (
            ["--cluster", "east", "--namespace", "a", "--commit-margin", "3s"],
            "--commit-margin got 3s; allowed: less than the --grant-duration, 3s"
        ),
        (
            [
                "--cluster", "east", "--namespace", "a", "--lease-storage-bucket", "leases", "--renew-interval",
                "1500ms",
            ],
            "--renew-interval got 1.5s; allowed: at least 2s with this store"
        ),
        (
            ["--cluster", "east", "--namespace", "a", "--store", "gs://leases/a", "--renew-interval", "1s"],
            "--renew-interval got 1s; allowed: at least 2s with this store"
        ),
        (
            [
                "--cluster", "east", "--namespace", "a", "--store", "file:/srv", "--lease-storage-bucket", "leases",
            ],
            "--store file:/srv and --lease-storage-bucket for gs://leases were both given; allowed: one"
        ),
        (
            ["--cluster", "east", "--lease-storage-bucket", "leases/a"],
            "--lease-storage-bucket got \"leases/a\"; allowed: "
        ),
        (
            ["--cluster", "east", "--allowed-token-url", "sts.example"],
            "--allowed-token-url got \"sts.example\"; allowed: "
        ),
        (["--cluster", "east", "--namespace", "a", "--tls-key", "k"], "--tls-certificate got nothing; allowed: "),
        (
            ["--cluster", "east", "--namespace", "a", "--tls-certificate", "c", "--tls-key", "k", "--tls-name", "n"],
            "--tls-name got n; allowed: only without --tls-certificate"
        ),
        (
            ["--cluster", "east", "--namespace", "kube-a", "--exclude-namespace", "kube-*"],
            "--namespace kube-a and --exclude-namespace kube-* contradict each other"
        ),
        (
            ["--cluster", "east", "--namespace", "a", "--metrics-bind-address", ":10250"],
            "--metrics-bind-address got :10250, which --bind-address has"
        ),
        (["--namespace", "a"], "--cluster got nothing and has no default; allowed: "),
    ])
    func `run refuses flags that do not go together, in one line with code 2`(
        arguments: [String], message: String
    ) async {
        let console = TestConsole()
        let code = await Program.run(["run"] + arguments, console: console.console(environment: ["HOME": "/nowhere"]))
        #expect(code == 2)
        #expect(console.err.hasPrefix("leasehold run: \(message)"))
        #expect(console.err.split(separator: "\n").count == 1)
    }

    @Test(arguments: [
        ("controller", ["--cluster", "east"], "--namespace got nothing; allowed: "),
        (
            "controller", ["--cluster", "east", "--namespace", "a", "--grants-key-file", "k"],
            "--grants-ca-file got nothing; allowed: "
        ),
        (
            "controller", ["--cluster", "east", "--namespace", "a", "--metrics-bind-address", ":9443"],
            "--metrics-bind-address got :9443, which --grants-bind-address has"
        ),
        (
            "controller",
            [
                "--cluster", "east", "--store", "file:/srv", "--kubeconfig", "k", "--authority-secret", "s",
                "--grants-key-file", "f",
            ],
            "--authority-secret got s; allowed: only without --grants-ca-file"
        ),
        (
            "controller", ["--cluster", "east", "--authority-secret", "s", "--namespace", "a"],
            "--authority-secret got s; allowed: only with Kubernetes"
        ),
        (
            "controller", ["--cluster", "east", "--namespace", "a", "--webhook-tls-name", "w"],
            "--webhook-tls-name got w; allowed: only with --authority-secret"
        ),
        (
            "controller",
            [
                "--cluster", "east", "--store", "file:/srv", "--kubeconfig", "k", "--authority-secret", "s",
                "--authority-lifetime", "30s", "--certificate-lifetime", "11s",
            ], "--authority-lifetime got 30s, and --certificate-lifetime is 11s; allowed: "
        ),
        ("controller", ["--cluster", "east", "--namespace", "a", "--mode", "warn"], "unknown flag \"--mode\""),
        ("webhook", ["--cluster", "east"], "--grants-address got nothing and has no default; allowed: "),
        ("webhook", ["--cluster", "east", "--grants-address", "a"], "--grants-address got \"a\"; allowed: "),
        (
            "webhook", ["--cluster", "east", "--grants-address", "a:1", "--grants-ca-file", "c"],
            "--grants-cert-file got nothing; allowed: "
        ),
        (
            "webhook", ["--cluster", "east", "--grants-address", "a:1", "--metrics-bind-address", ":10250"],
            "--metrics-bind-address got :10250, which --bind-address has"
        ),
        (
            "webhook", ["--cluster", "east", "--grants-address", "a:1", "--store", "file:/srv"],
            "unknown flag \"--store\""
        ),
    ])
    func `controller and webhook refuse flags that do not go together, in one line with code 2`(
        command: String, arguments: [String], message: String
    ) async {
        let console = TestConsole()
        let code = await Program.run([command] + arguments, console: console.console(environment: ["HOME": "/nowhere"]))
        #expect(code == 2)
        #expect(console.err.hasPrefix("leasehold \(command): \(message)"))
        #expect(console.err.split(separator: "\n").count == 1)
    }

    @Test func `controller and webhook say in one line why they cannot start`() async throws {
        func failure(_ arguments: String...) async -> String {
            let console = TestConsole()
            let code = await Program.run(
                arguments + [
                    "--cluster=east", "--health-probe-bind-address=0", "--metrics-bind-address=0", "--log-level=error",
                ], console: console.console(environment: ["HOME": directory.path]))
            #expect(code == 1)
            #expect(console.err.split(separator: "\n").count == 1)
            return console.err
        }
        let none = ["ca", "cert", "key"].map { "--grants-\($0)-file=\(directory.path)/none" }
        let unusable = "the files of --grants-ca-file, --grants-cert-file or --grants-key-file cannot be used: "
        #expect(
            await failure("controller", "--namespace=a", "--grants-bind-address=127.0.0.1:0", none[0], none[1], none[2])
                .hasPrefix("leasehold controller: \(unusable)"))
        #expect(
            await failure("webhook", "--grants-address=a:1", "--bind-address=127.0.0.1:0", none[0], none[1], none[2])
                .hasPrefix("leasehold webhook: \(unusable)"))
        // An address of TEST-NET-1 (RFC 5737), which no machine has.
        #expect(
            await failure("controller", "--namespace=a", "--grants-bind-address=192.0.2.1:0")
                .hasPrefix("leasehold controller: --grants-bind-address 192.0.2.1:0: "))
        // The serving certificate of a webhook, say.
        let tls = "\(directory.path)/.local/state/leasehold/clusters/east/tls"
        _ = try SelfMadeCertificates(directory: tls, names: [.dns("localhost")]).ensure()
        #expect(
            await failure(
                "controller", "--namespace=a", "--grants-bind-address=127.0.0.1:0", "--grants-ca-file=\(tls)/ca.crt",
                "--grants-cert-file=\(tls)/tls.crt", "--grants-key-file=\(tls)/tls.key"
            ).contains("webhooks insist on the DNS name leasehold-grants"))
    }

    @Test func `with all certificates given, a webhook needs no state directory`() async throws {
        _ = try SelfMadeCertificates(directory: directory.path, names: [.dns("localhost")], purpose: .both).ensure()
        let (chain, key) = ("\(directory.path)/tls.crt", "\(directory.path)/tls.key")
        // What ends it comes after everything that could need one.
        let console = TestConsole()
        let code = await Program.run(
            [
                "webhook", "--cluster=east", "--grants-address=a:1", "--bind-address=192.0.2.1:0", "--log-level=error",
                "--health-probe-bind-address=0", "--metrics-bind-address=0", "--tls-certificate=\(chain)",
                "--tls-key=\(key)", "--grants-ca-file=\(directory.path)/ca.crt", "--grants-cert-file=\(chain)",
                "--grants-key-file=\(key)",
            ], console: console.console())
        #expect(code == 1)
        #expect(console.err.hasPrefix("leasehold webhook: --bind-address 192.0.2.1:0: "), "\(console.err)")
    }

    @Test func `run says in one line why it cannot start`() async throws {
        let free = ["--bind-address=127.0.0.1:0", "--health-probe-bind-address=0", "--metrics-bind-address=0"]
        func failure(_ arguments: String...) async -> String {
            let console = TestConsole()
            let code = await Program.run(
                ["run", "--cluster=east", "--namespace=team-a", "--log-level=error"] + free + arguments,
                console: console.console(environment: ["HOME": directory.path]))
            #expect(code == 1)
            #expect(console.err.split(separator: "\n").count == 1)
            return console.err
        }
        #expect(
            await failure("--tls-certificate=\(directory.path)/none", "--tls-key=\(directory.path)/none")
                .hasPrefix("leasehold run: the files of --tls-certificate, --tls-key or --client-ca cannot be used: "))
        // An address of TEST-NET-1 (RFC 5737), which no machine has.
        #expect(await failure("--bind-address=192.0.2.1:0").hasPrefix("leasehold run: --bind-address 192.0.2.1:0: "))
        #expect(await failure("--store=file:/proc/store").contains("the store file:/proc/store cannot be opened"))
        #expect(await failure("--state-directory=/proc/state").contains("/proc/state"))
    }

    @Test func `a bucket is a store by either flag, and a wrong one is an error that says what to do`() async throws {
        let emulator = try GCSEmulator(bucket: "leases")
        let environment = ["HOME": directory.path, "STORAGE_EMULATOR_HOST": emulator.url]
        func run(_ arguments: String...) async -> (code: Int32, console: TestConsole) {
            let console = TestConsole()
            return (await Program.run(arguments, console: console.console(environment: environment)), console)
        }
        let store = try await StoreAddress("gs://leases").open(
            timeout: .seconds(60), access: StoreAccess(environment: environment))
        let record = #"{"holderIdentity":"east","leaseDurationSeconds":15,"term":7}"#
        _ = try await store.write(ObjectName(.leases, "team-a")!, Array(record.utf8), replacing: nil)
        _ = try await store.write(.notice, [1], replacing: nil)
        for flags in [["--lease-storage-bucket", "leases"], ["--store", "gs://leases"]] {
            let (code, console) = await run("status", flags[0], flags[1])
            #expect(code == 0, "\(console.err)")
            #expect(console.out.contains("team-a"))
        }
        let (empty, emptyConsole) = await run("status", "--store", "gs://leases/mistyped")
        #expect(empty == 1)
        #expect(emptyConsole.err.contains("There is nothing in gs://leases/mistyped/"))
        let (missing, console) = await run(
            "run", "--cluster=east", "--namespace=team-a", "--lease-storage-bucket=other", "--bind-address=127.0.0.1:0",
            "--health-probe-bind-address=0", "--metrics-bind-address=0", "--log-level=error")
        #expect(missing == 1)
        #expect(console.err.contains("the store gs://other cannot be opened: gs://other: the service answered 404"))
        #expect(console.err.split(separator: "\n").count == 1)
    }
}

/// What the log is for machines.
struct JSONLogTests {
    @Test func `each line of the JSON log is an object of strings that begins with time, level and message`()
        async throws
    {
        let directory = try TemporaryDirectory()
        let cluster = try Cluster("east", in: directory, ["--log-format", "json"])
        try await eventually("it leads") { cluster.process.err.contains(#""message":"Leads team-a""#) }
        cluster.process.send(SIGTERM)
        #expect(await cluster.process.exitCode() == 0)
        let lines = cluster.process.err.split(separator: "\n")
        #expect(lines.count > 3)
        for line in lines {
            let fields = try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
            #expect(fields["message"]?.isEmpty == false)
            #expect(
                line.prefixMatch(
                    of: /\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","level":"(?:info|warning|error)","message":"/
                )
                    != nil, "\(line)")
        }
        #expect(lines.contains { $0.contains(#""message":"Started","version":"#) })
        #expect(lines.contains { $0.contains(#""message":"Leads team-a","term":"#) })
    }
}
