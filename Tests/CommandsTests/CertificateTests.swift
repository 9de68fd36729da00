import FoundationEssentials
import Platform
import Support
import TLS
import Testing

@testable import Commands

struct SelfMadeCertificateTests {
    private static let names: [SubjectName] = [.dns("localhost"), .ip("127.0.0.1")]
    private static let day: Int64 = 86_400 * 1_000_000

    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func certificates(_ names: [SubjectName] = names) -> SelfMadeCertificates {
        SelfMadeCertificates(directory: directory.path, names: names)
    }

    private func text(_ file: String) throws -> String { try String(contentsOfFile: file, encoding: .utf8) }

    @Test func `are made once and kept`() throws {
        let made = certificates()
        #expect(try made.ensure())
        let (authority, chain) = (try text(made.authority), try text(made.chain))
        #expect(try !certificates().ensure())
        #expect(try text(made.authority) == authority)
        #expect(try text(made.chain) == chain)
        let leaf = try Identity(chainFile: made.chain, keyFile: made.key).certificate
        #expect(Set(leaf.names) == Set(Self.names))
    }

    @Test func `other names get a new certificate of the same authority`() throws {
        let made = certificates()
        _ = try made.ensure()
        let authority = try text(made.authority)
        #expect(try certificates(Self.names + [.dns("webhook.example")]).ensure())
        #expect(try text(made.authority) == authority)
        #expect(try Identity(chainFile: made.chain, keyFile: made.key).certificate.names.count == 3)
    }

    @Test func `replicas at different addresses share one certificate, which has the names of both`() throws {
        let (one, other) = (certificates([.ip("127.0.0.2")]), certificates([.ip("127.0.0.3")]))
        #expect(try one.ensure())
        #expect(try other.ensure())
        #expect(try !one.ensure())
        #expect(try !other.ensure())
        let leaf = try Identity(chainFile: one.chain, keyFile: one.key).certificate
        #expect(Set(leaf.names) == [.ip("127.0.0.2"), .ip("127.0.0.3")])
    }

    @Test func `are made anew when two thirds of their life are over, with the same authority`() throws {
        let made = certificates()
        _ = try made.ensure()
        let authority = try text(made.authority)
        let validity = try Identity(chainFile: made.chain, keyFile: made.key).certificate.validity
        let twoThirds = validity.notBefore + (validity.notAfter - validity.notBefore) / 3 * 2
        #expect(try !made.ensure(now: twoThirds - Self.day))
        #expect(try made.ensure(now: twoThirds))
        #expect(try text(made.authority) == authority)
    }

    @Test func `a damaged serving certificate is made anew`() throws {
        let made = certificates()
        _ = try made.ensure()
        try "broken".write(toFile: made.chain, atomically: true, encoding: .utf8)
        #expect(try made.ensure())
        _ = try Identity(chainFile: made.chain, keyFile: made.key)
    }

    @Test func `a damaged authority is not replaced, as clients trust it`() throws {
        let made = certificates()
        _ = try made.ensure()
        try "broken".write(toFile: "\(directory.path)/ca.key", atomically: true, encoding: .utf8)
        let error = #expect(throws: CommandFailure.self) { try made.ensure() }
        #expect(error?.description.contains("delete \(made.authority)") == true)
    }

    @Test func `processes that start at once agree on one authority`() async throws {
        let authorities = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let made = self.certificates()
                    _ = try made.ensure()
                    return try self.text(made.authority)
                }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(authorities.count == 1)
    }

    @Test func `new files are served, broken ones are logged and leave the old ones in use`() throws {
        let made = certificates()
        _ = try made.ensure()
        let lines = Locked<[String]>([])
        let log = Log { line in lines.withLock { $0.append(line) } }
        let serving = ServingCertificate(
            "serving", files: try CertificateFiles(chain: made.chain, key: made.key), selfMade: nil)
        let first = serving.context.certificate.serialNumber
        serving.refresh(log)
        #expect(lines.withLock { $0 }.isEmpty)

        _ = try certificates([.dns("other.example")]).ensure()
        serving.refresh(log)
        let second = serving.context.certificate.serialNumber
        #expect(second != first)
        #expect(lines.withLock { $0.count } == 1)

        try "broken".write(toFile: made.chain, atomically: true, encoding: .utf8)
        serving.refresh(log)
        serving.refresh(log)
        #expect(serving.context.certificate.serialNumber == second)
        #expect(lines.withLock { $0.count } == 2)
        #expect(lines.withLock { $0.last }?.contains("the old ones stay in use") == true)
        let text = MetricFamily.text(serving.families())
        #expect(text.contains("leasehold_certificate_reloads_total{outcome=\"reloaded\"} 1\n"))
        #expect(text.contains("leasehold_certificate_reloads_total{outcome=\"failed\"} 1\n"))
    }
}
