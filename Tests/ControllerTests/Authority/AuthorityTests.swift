import Election
import FoundationEssentials
import Kubernetes
import TLS
import Testing

@testable import Controller

private let start: Int64 = 1_800_000_000_000_000
private let day: Int64 = 86_400_000_000

struct AuthorityTests {
    private let lifetimes = CertificateLifetimes()

    private func made() throws -> Authority { try Authority(madeAt: start, lifetimes) }

    /// When two thirds of its life are over.
    private func renewal(_ authority: Authority) -> Int64 {
        CertificateLifetimes.renewal(of: authority.signing.certificate.validity)
    }

    // MARK: - What happens when

    struct Moment: CustomTestStringConvertible, Sendable {
        let testDescription: String
        /// Of the authority's life that is over, in percent.
        let age: Int64
        var isAsked = false
        let steps: [Authority.Step]
    }

    @Test(
        arguments: [
            Moment(testDescription: "new", age: 0, steps: []),
            Moment(testDescription: "half old", age: 50, steps: []),
            Moment(testDescription: "nearly two thirds old", age: 66, steps: []),
            Moment(testDescription: "two thirds old", age: 67, steps: [.announced]),
            Moment(testDescription: "nearly at its end", age: 99, steps: [.announced]),
            Moment(testDescription: "at its end", age: 101, steps: [.made]),
            Moment(testDescription: "new and asked for another", age: 0, isAsked: true, steps: [.announced]),
        ])
    func `what is due follows from the age of the authority and from wishes`(moment: Moment) throws {
        var authority = try made()
        authority.isRotationAsked = moment.isAsked
        let life = lifetimes.authority.inMicroseconds
        let steps = try authority.advance(at: start + life / 100 * moment.age, isAnnounced: false, lifetimes)
        #expect(steps == moment.steps)
        #expect((authority.next != nil) == (moment.steps == [.announced]))
    }

    @Test
    func `the next one signs only when everybody knows it, and the one before stays trusted as long as it counts`()
        throws
    {
        var authority = try made()
        let first = authority.signing.certificate
        let announced = renewal(authority)
        #expect(try authority.advance(at: announced, isAnnounced: false, lifetimes) == [.announced])
        let second = try #require(authority.next?.certificate)
        #expect(authority.trusted == [first, second])
        // However long that takes.
        #expect(try authority.advance(at: announced + 100 * day, isAnnounced: false, lifetimes).isEmpty)
        #expect(authority.signing.certificate == first)

        let promoted = announced + 101 * day
        #expect(try authority.advance(at: promoted, isAnnounced: true, lifetimes) == [.promoted])
        #expect(authority.signing.certificate == second)
        #expect(authority.trusted == [second, first])
        #expect(authority.next == nil)

        let life = lifetimes.certificate.inMicroseconds
        #expect(try authority.advance(at: promoted + life, isAnnounced: false, lifetimes).isEmpty)
        #expect(authority.trusted == [second, first])
        #expect(try authority.advance(at: promoted + life + day, isAnnounced: false, lifetimes) == [.dropped(1)])
        #expect(authority.trusted == [second])
    }

    @Test func `a wish is fulfilled when the new one signs, not before`() throws {
        var authority = try made()
        authority.isRotationAsked = true
        _ = try authority.advance(at: start + day, isAnnounced: false, lifetimes)
        #expect(authority.isRotationAsked)
        _ = try authority.advance(at: start + 2 * day, isAnnounced: true, lifetimes)
        #expect(!authority.isRotationAsked)
        #expect(try authority.advance(at: start + 3 * day, isAnnounced: false, lifetimes).isEmpty)
    }

    @Test func `one that has ended gives way to the announced one, known or not`() throws {
        var authority = try made()
        _ = try authority.advance(at: renewal(authority), isAnnounced: false, lifetimes)
        let next = authority.next?.certificate
        let end = authority.signing.certificate.validity.notAfter
        // The old one is not trusted any more either, since it has ended.
        #expect(try authority.advance(at: end, isAnnounced: false, lifetimes) == [.promoted, .dropped(1)])
        #expect(authority.signing.certificate == next)
        #expect(authority.trusted.count == 1)
    }

    @Test func `wishes without end do not make a bundle without end`() throws {
        var authority = try made()
        for day in 0..<20 {
            authority.isRotationAsked = true
            _ = try authority.advance(at: start + Int64(day) * 86_400_000_000, isAnnounced: true, lifetimes)
            #expect(authority.trusted.count <= Authority.trustedMax)
        }
        #expect(authority.isFull)
        let later = start + 120 * day
        #expect(try authority.advance(at: later, isAnnounced: false, lifetimes) == [.dropped(Authority.trustedMax - 1)])
        #expect(try authority.advance(at: later, isAnnounced: false, lifetimes) == [.announced])
    }

    @Test func `in half a century every certificate that is still valid is of a trusted authority`() throws {
        var authority = try made()
        var leaves: [Certificate] = []
        var (now, announcedAt, promotions) = (start, Int64?.none, 0)
        let leaf = IssuedCertificate(label: "leaf", commonName: "leaf", purpose: .server, names: [.dns("leaf")])
        while now < start + 50 * 365 * day {
            let isAnnounced = announcedAt.map { now >= $0 + lifetimes.announcement.inMicroseconds } ?? false
            let before = authority.trusted
            let steps = try authority.advance(at: now, isAnnounced: isAnnounced, lifetimes)
            if steps.contains(.announced) { announcedAt = now }
            if steps.contains(.promoted) {
                // Whoever has read what was announced knows whoever signs now.
                #expect(before.contains(authority.signing.certificate))
                (announcedAt, promotions) = (nil, promotions + 1)
            }
            if let last = leaves.last, leaf.isCurrent(last, of: authority, at: now, lifetimes) {
                #expect(last.validity.notAfter > now + 20 * day)
            } else {
                leaves.append(
                    try leaf.issue(by: authority, insteadOf: leaves.last, at: now, lifetimes).certificate)
            }
            leaves.removeAll { $0.validity.notAfter <= now }
            for valid in leaves {
                #expect(authority.trusted.contains { valid.isSigned(by: $0) })
            }
            #expect(authority.trusted.allSatisfy { $0.validity.notAfter > now })
            #expect(authority.trusted.count <= 3)
            now += 5 * day
        }
        #expect(promotions == 7)
    }

    @Test(arguments: [Duration.seconds(10), .seconds(60), .seconds(3600), .seconds(2160 * 3600)])
    func `the times keep their proportions when lives are short`(certificate: Duration) {
        var lifetimes = CertificateLifetimes()
        (lifetimes.authority, lifetimes.certificate) = (certificate * 3, certificate)
        #expect(lifetimes.problem == nil)
        // A new authority can be announced, looked at many times, and sign before the old one ends.
        #expect(lifetimes.announcement + lifetimes.lookInterval * 4 < lifetimes.authority / 3)
        #expect(lifetimes.lookInterval * 8 <= certificate / 3)
        #expect(lifetimes.lookInterval <= .seconds(10) && lifetimes.announcement <= .seconds(600))
        lifetimes.authority -= .seconds(1)
        #expect(lifetimes.problem != nil)
    }
}

/// When everybody has been told of the next authority for long enough.
struct AnnouncementTests {
    private let next: Certificate
    private let limit = Duration.seconds(600)
    private var announcement = Announcement()

    init() throws {
        next = try CertificateAuthority.make(commonName: "next").certificate
    }

    private func reading(_ seconds: Int64, wall: Int64 = 0) -> Reading {
        Reading(
            boottime: seconds * 1_000_000_000, realtime: (seconds + wall) * 1_000_000_000,
            monotonicRaw: seconds * 1_000_000_000)
    }

    private func hasLasted(at now: Reading, for other: Certificate? = nil) -> Bool {
        announcement.hasLasted(limit, for: other ?? next, at: now)
    }

    @Test mutating func `counts from the first look that found it everywhere`() {
        announcement.note(next, isEverywhere: false, at: reading(0))
        #expect(!hasLasted(at: reading(10_000)))
        announcement.note(next, isEverywhere: true, at: reading(100))
        announcement.note(next, isEverywhere: true, at: reading(500))
        #expect(!hasLasted(at: reading(699)))
        #expect(hasLasted(at: reading(700)))
    }

    @Test mutating func `begins anew after an interruption`() {
        announcement.note(next, isEverywhere: true, at: reading(0))
        announcement.note(next, isEverywhere: false, at: reading(599))
        announcement.note(next, isEverywhere: true, at: reading(601))
        #expect(!hasLasted(at: reading(1200)))
        #expect(hasLasted(at: reading(1201)))
    }

    @Test mutating func `is of one authority, not of another that came in its place`() throws {
        announcement.note(next, isEverywhere: true, at: reading(0))
        let other = try CertificateAuthority.make(commonName: "next").certificate
        #expect(!hasLasted(at: reading(10_000), for: other))
        announcement.note(other, isEverywhere: true, at: reading(10_000))
        #expect(!hasLasted(at: reading(10_001), for: other))
        #expect(!hasLasted(at: reading(20_000)))
    }

    @Test mutating func `a wall clock that is set forward does not shorten it`() {
        announcement.note(next, isEverywhere: true, at: reading(0))
        #expect(!hasLasted(at: reading(10, wall: 86_400)))
    }
}

/// What lies in the Secret of the authority.
struct AuthoritySecretTests {
    private let lifetimes = CertificateLifetimes()

    private func secret(_ authority: Authority) throws -> SecretObject {
        var secret = SecretObject(metadata: ObjectMetadata(name: "authority", namespace: "system"))
        try authority.write(into: &secret)
        return secret
    }

    private func announced() throws -> Authority {
        var authority = try Authority(madeAt: start, lifetimes)
        authority.isRotationAsked = true
        _ = try authority.advance(at: start, isAnnounced: false, lifetimes)
        return authority
    }

    @Test func `what was written is read back, and written again the same`() throws {
        var authority = try announced()
        for isAnnounced in [false, true] {
            _ = try authority.advance(at: start + day, isAnnounced: isAnnounced, lifetimes)
            let written = try secret(authority)
            let read = try Authority(written)
            #expect(read.trusted == authority.trusted)
            #expect(read.signing.certificate == authority.signing.certificate)
            #expect(read.next?.certificate == authority.next?.certificate)
            #expect(read.signingSince == authority.signingSince)
            #expect(try secret(read) == written)
        }
    }

    @Test func `the annotation that asks for a new one stays until that signs`() throws {
        var held = try secret(Authority(madeAt: start, lifetimes))
        held.metadata.annotations?[Authority.rotationAnnotation] = ""
        var authority = try Authority(held)
        #expect(authority.isRotationAsked)
        _ = try authority.advance(at: start, isAnnounced: false, lifetimes)
        try authority.write(into: &held)
        #expect(held.metadata.annotations?[Authority.rotationAnnotation] == "")
        #expect(held.data[SecretKey.nextKey] != nil)
        _ = try authority.advance(at: start, isAnnounced: true, lifetimes)
        try authority.write(into: &held)
        #expect(held.metadata.annotations?[Authority.rotationAnnotation] == nil)
        #expect(held.data[SecretKey.nextKey] == nil && held.data[SecretKey.nextCertificate] == nil)
    }

    @Test func `somebody's own authority is taken up as it is`() throws {
        let own = try CertificateAuthority.make(commonName: "ours")
        var held = SecretObject(
            metadata: ObjectMetadata(name: "authority", namespace: "system"), type: "kubernetes.io/tls",
            data: [
                "tls.crt": [UInt8]("a comment\n".utf8) + (try [own.certificate].pem()), "tls.key": try own.key.pem(),
                "other": [1],
            ])
        let before = held
        let authority = try Authority(held)
        #expect(authority.trusted == [own.certificate])
        try authority.write(into: &held)
        for key in ["tls.crt", "tls.key", "other"] { #expect(held.data[key] == before.data[key]) }
        #expect(held.data["ca.crt"] == (try [own.certificate].pem()))
    }

    @Test(arguments: [
        "no key", "foreign key", "damaged key", "no certificate", "damaged bundle", "leaf", "half a next",
    ])
    func `what cannot be used is refused with what to do, and without a word of it`(damage: String) throws {
        let authority = try announced()
        var held = try secret(authority)
        let leaf = try authority.signing.issue(commonName: "leaf", names: [], purpose: .client)
        let named: String
        switch damage {
        case "no key": (held.data["tls.key"], named) = (nil, "tls.key")
        case "foreign key": (held.data["tls.key"], named) = (held.data["next.key"], "tls.key")
        case "damaged key": (held.data["tls.key"], named) = ([UInt8]("c2VjcmV0".utf8), "tls.key")
        case "no certificate": (held.data["tls.crt"], named) = ([], "tls.crt")
        case "damaged bundle": (held.data["ca.crt"], named) = ([UInt8]("c2VjcmV0".utf8), "ca.crt")
        case "leaf": (held.data["ca.crt"], named) = (try leaf.chain.pem(), "ca.crt")
        default: (held.data["next.key"], named) = (nil, "next.key")
        }
        let problem = try #require(throws: SecretProblem.self) { try Authority(held) }
        #expect(problem.description.contains(named), "\(problem)")
        #expect(problem.description.contains("delete the Secret"))
        #expect(!problem.description.contains("c2VjcmV0"))
    }

    @Test func `no description shows a key`() throws {
        let held = try secret(announced())
        #expect("\(held)" == "Secret system/authority with ca.crt, next.crt, next.key, tls.crt, tls.key")
    }
}

/// What an authority has signed, for pods that mount it.
struct IssuedSecretTests {
    private let lifetimes = CertificateLifetimes()
    private let authority: Authority
    private let certificate = IssuedCertificate(
        label: "webhook", commonName: "webhook", purpose: .server, names: [.dns("a.svc"), .dns("b.svc")])

    init() throws {
        authority = try Authority(madeAt: start, lifetimes)
    }

    private func wanted(
        _ old: SecretObject?, _ certificate: IssuedCertificate? = nil, of authority: Authority? = nil,
        at now: Int64 = start
    ) throws -> (secret: SecretObject, issued: Identity?, inUse: Certificate) {
        try IssuedSecret(name: "tls", namespace: "system", certificate: certificate ?? self.certificate).wanted(
            insteadOf: old, of: authority ?? self.authority, at: now, lifetimes)
    }

    private func names(_ names: String...) -> IssuedCertificate {
        IssuedCertificate(label: "x", commonName: "x", purpose: .server, names: names.map { .dns($0) })
    }

    @Test func `is made once, and stays until two thirds of its life are over`() throws {
        let (made, issued, inUse) = try wanted(nil)
        #expect(issued != nil && made.type == "kubernetes.io/tls")
        #expect(Set(inUse.names) == Set(certificate.names))
        #expect(inUse.isSigned(by: authority.signing.certificate))
        #expect(try wanted(made).secret == made)
        #expect(try wanted(made, at: start + 59 * day).secret == made)
        let renewed = try wanted(made, at: start + 60 * day)
        #expect(renewed.issued != nil && renewed.inUse.serialNumber != inUse.serialNumber)
    }

    @Test func `is made anew at once when another authority signs, and told of everybody to trust before`() throws {
        let (made, _, _) = try wanted(nil)
        var next = authority
        next.isRotationAsked = true
        _ = try next.advance(at: start, isAnnounced: false, lifetimes)
        let announced = try wanted(made, of: next)
        #expect(announced.issued == nil)
        #expect(announced.secret.data["ca.crt"] == (try next.trusted.pem()))
        _ = try next.advance(at: start, isAnnounced: true, lifetimes)
        let promoted = try wanted(announced.secret, of: next)
        #expect(promoted.issued != nil && promoted.inUse.isSigned(by: next.signing.certificate))
        #expect(!promoted.inUse.isSigned(by: authority.signing.certificate))
    }

    @Test func `replicas with other names do not take them away from each other`() throws {
        let (made, _, _) = try wanted(nil)
        let (both, issued, inUse) = try wanted(made, names("b.svc", "c.svc"))
        #expect(issued != nil)
        #expect(Set(inUse.names) == [.dns("a.svc"), .dns("b.svc"), .dns("c.svc")])
        #expect(try wanted(both).issued == nil)
        // Names that nobody wants any more go with the next renewal.
        let later = try wanted(both, names("b.svc", "c.svc"), at: start + 61 * day)
        #expect(Set(later.inUse.names) == [.dns("b.svc"), .dns("c.svc")])
    }

    @Test func `one that would live longer than certificates do now is made anew`() throws {
        var long = lifetimes
        long.certificate = lifetimes.certificate * 2
        let old = try certificate.issue(by: authority, insteadOf: nil, at: start, long).certificate
        #expect(certificate.isCurrent(old, of: authority, at: start, long))
        #expect(!certificate.isCurrent(old, of: authority, at: start, lifetimes))
    }

    @Test(arguments: ["damaged certificate", "damaged key", "nothing"])
    func `what cannot be read is made anew`(damage: String) throws {
        var (held, _, _) = try wanted(nil)
        switch damage {
        case "damaged certificate": held.data["tls.crt"] = [1]
        case "damaged key": held.data["tls.key"] = [1]
        default: held.data = [:]
        }
        let (mended, issued, _) = try wanted(held)
        #expect(issued != nil)
        _ = try mended.identity()
    }

    @Test func `somebody else's is left alone`() throws {
        var (held, _, _) = try wanted(nil)
        held.metadata.labels = ["app.kubernetes.io/managed-by": "somebody"]
        let problem = #expect(throws: SecretProblem.self) { try wanted(held) }
        #expect(problem?.description.contains("app.kubernetes.io/managed-by=leasehold") == true)
    }
}
