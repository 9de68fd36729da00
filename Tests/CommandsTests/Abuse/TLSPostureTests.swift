import FoundationEssentials
import Glibc
import Support
import Testing

/// What the ports of real processes let a client agree on, as sslscan sees it.
struct TLSPostureTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// The lines of sslscan's report about a port of 127.0.0.1: elements without content, one a line.
    private func scan(_ port: UInt16) async throws -> Scan {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let found = path.split(separator: ":").map { "\($0)/sslscan" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
        let sslscan = try #require(found, "there is no sslscan on PATH; install Debian's package sslscan")
        let process = try ChildProcess(
            sslscan, ["--xml=-", "--no-colour", "--show-sigs", "--timeout=30", "127.0.0.1:\(port)"], in: directory)
        #expect(await process.exitCode() == 0, "\(process.err)")
        return Scan(xml: process.out)
    }

    private struct Scan {
        let elements: [(name: String, attributes: [String: String])]

        init(xml: String) {
            elements = xml.matches(of: /<([a-z-]+) ([^>]*?)\/>/).map { element in
                let attributes = element.2.matches(of: /([a-z]+)="([^"]*)"/).map { (String($0.1), String($0.2)) }
                return (String(element.1), Dictionary(attributes) { first, _ in first })
            }
        }

        func all(_ name: String) -> [[String: String]] { elements.filter { $0.name == name }.map(\.attributes) }

        /// As in "tls 1.2".
        var protocols: Set<String> {
            Set(all("protocol").filter { $0["enabled"] == "1" }.map { "\($0["type"] ?? "") \($0["version"] ?? "")" })
        }
        var ciphers: Set<String> { Set(all("cipher").compactMap { $0["cipher"] }) }
        var groups: Set<String> { Set(all("group").compactMap { $0["name"] }) }
        var signatures: Set<String> { Set(all("connection-signature-algorithm").compactMap { $0["name"] }) }

        /// Everything that should not be; empty for a server as it should be.
        var faults: [String] {
            var faults: [String] = []
            for version in protocols.subtracting(["tls 1.2", "tls 1.3"]) { faults.append("speaks \(version)") }
            for cipher in ciphers where !Self.isGood(cipher) { faults.append("takes \(cipher)") }
            for group in groups where !Self.isGood(group: group) { faults.append("takes the group \(group)") }
            for name in signatures where name.contains("sha1") || name.contains("sha224") || name.contains("any") {
                faults.append("signs by \(name)")
            }
            for one in all("renegotiation") where one["supported"] != "0" { faults.append("renegotiates") }
            for one in all("compression") where one["supported"] != "0" { faults.append("compresses") }
            for one in all("heartbleed") where one["vulnerable"] != "0" { faults.append("bleeds") }
            return faults.sorted()
        }

        /// Forward secrecy and authenticated encryption: those of TLS 1.3, and of ECDHE in TLS 1.2.
        private static func isGood(_ cipher: String) -> Bool {
            if cipher.hasPrefix("TLS_") { return true }
            return (cipher.hasPrefix("ECDHE-ECDSA-") || cipher.hasPrefix("ECDHE-RSA-"))
                && (cipher.contains("-GCM-") || cipher.hasSuffix("-CHACHA20-POLY1305"))
        }

        private static func isGood(group: String) -> Bool {
            ["x25519", "secp256r1", "secp384r1"].contains { group.hasPrefix($0) }
        }
    }

    @Test func `webhooks and controllers offer TLS 1.2 and 1.3 with forward secrecy, and nothing else`() async throws {
        let port = try FreePort.any()
        let controller = try Replica.controller(port: port, in: directory)
        try await controller.waitUntilStarted("grants")
        let webhook = try Replica.webhook(ports: [port], in: directory)
        try await webhook.waitUntilStarted("admissions")
        let served = try await scan(try #require(webhook.process.port("admissions")))
        #expect(served.faults == [])
        #expect(served.protocols == ["tls 1.2", "tls 1.3"])
        // Our certificates are ECDSA's: three ciphers of each version.
        #expect(served.ciphers.count == 6, "\(served.ciphers)")
        #expect(served.groups.count == 3, "\(served.groups)")
        #expect(served.all("renegotiation").count == 1)
        #expect(served.all("heartbleed").count == 2)

        // A port that asks for the client's certificate says less: in TLS 1.2 the handshake ends where the scan has none.
        let granting = try await scan(port)
        #expect(granting.faults == [])
        #expect(granting.protocols == ["tls 1.2", "tls 1.3"])
        #expect(granting.ciphers.isSubset(of: served.ciphers) && granting.ciphers.count >= 3)

        // Probes and metrics hold no secret, and no port is something between plain and TLS.
        for label in ["health", "metrics"] {
            let plain = try await scan(try #require(webhook.process.port(label)))
            #expect(plain.protocols == [] && plain.ciphers == [])
        }
        for process in [controller.process, webhook.process] {
            process.send(SIGTERM)
            #expect(await process.exitCode() == 0, "\(process.err)")
        }
    }

    @Test func `the scan finds what is weak in a server that is`() async throws {
        let port = try FreePort.any()
        let (key, certificate) = (directory.file("key.pem"), directory.file("certificate.pem"))
        let request = try ChildProcess(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-subj",
                "/CN=weak", "-days", "1",
            ], in: directory)
        #expect(await request.exitCode() == 0, "\(request.err)")
        let server = try ChildProcess(
            "/usr/bin/openssl",
            [
                "s_server", "-www", "-accept", "127.0.0.1:\(port)", "-cert", certificate, "-key", key, "-cipher",
                "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1", "-client_renegotiation",
            ], in: directory)
        try await eventually("it listens") { FreePort.isServed(port) }
        let faults = try await scan(port).faults
        for fault in ["speaks tls 1.0", "speaks tls 1.1", "renegotiates", "takes the group secp521r1 (NIST P-521)"] {
            #expect(faults.contains(fault), "\(faults)")
        }
        #expect(faults.contains("takes AES128-SHA") && faults.contains("takes ECDHE-RSA-AES128-SHA"), "\(faults)")
        server.send(SIGKILL)
        _ = await server.exitCode()
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func `a client that asks to agree anew is not followed, and others are served`(version: String) async throws {
        let cluster = try Cluster("east", in: directory)
        try await cluster.waitUntilStarted()
        let port = try #require(cluster.port("admissions"))
        // Its command "R" asks for a new handshake; TLS 1.3 knows none, and its client says so.
        let client = try ChildProcess(
            "/usr/bin/openssl", ["s_client", version, "-connect", "127.0.0.1:\(port)"], input: "R\n", in: directory)
        _ = await client.exitCode()
        let said = client.out + client.err
        #expect(said.contains("RENEGOTIATING"))
        #expect(said.contains(version == "-tls1_2" ? "no renegotiation" : "wrong ssl version"), "\(said)")
        try await eventually("it admits") { try cluster.admits(Cluster.review()) }
        cluster.process.send(SIGTERM)
        #expect(await cluster.process.exitCode() == 0)
    }
}
