import FoundationEssentials
import Glibc
import Support
import TLS
import Testing

@Suite struct CertificateFilesTests {
    let authority = TestAuthority.one
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test func `files that have not changed are not loaded again`() throws {
        try put(authority.server())
        let files = try open()
        let context = files.context
        #expect(files.reloadIfChanged() == .unchanged)
        #expect(files.context === context)
    }

    @Test func `new connections get a changed certificate and old ones go on with theirs`() throws {
        let (old, new) = (try authority.server(), try authority.server())
        try put(old)
        let files = try open()
        var before = try ConnectedPair(files.context, authority.clientContext())
        var during = try ConnectedPair(files.context, authority.clientContext())
        #expect(before.handshake() == (.done, .done))
        #expect(during.client.handshake() == .wantsRead)

        try put(new)
        #expect(files.reloadIfChanged() == .reloaded)
        #expect(files.reloadIfChanged() == .unchanged)

        try before.echo("still here")
        #expect(during.handshake() == (.done, .done))
        #expect(during.client.peerCertificate?.serialNumber == old.certificate.serialNumber)
        var after = try ConnectedPair(files.context, authority.clientContext())
        #expect(after.handshake() == (.done, .done))
        #expect(after.client.peerCertificate?.serialNumber == new.certificate.serialNumber)
        #expect(files.context.certificate.serialNumber == new.certificate.serialNumber)
    }

    @Test func `until files that are awaited are there, nobody gets through`() throws {
        let paths = ["tls.crt", "tls.key", "ca.crt"].map { directory.file($0) }
        func open() throws -> CertificateFiles {
            try CertificateFiles(awaiting: paths[0], key: paths[1], clientAuthorities: paths[2])
        }
        let files = try open()
        let client = try authority.clientContext(identity: authority.client())
        #expect(files.isAwaited)
        var early = try ConnectedPair(files.context, client)
        guard case .failed = early.handshake().client else {
            Issue.record("a certificate of nobody was trusted")
            return
        }
        // One after the other, as they are written.
        #expect(files.reloadIfChanged() == .unchanged)
        try Certificate.write([authority.authority.certificate], to: paths[2])
        #expect(files.reloadIfChanged() == .unchanged)
        try put(authority.server())
        #expect(files.reloadIfChanged() == .reloaded)
        #expect(!files.isAwaited)
        var late = try ConnectedPair(files.context, client)
        #expect(late.handshake() == (.done, .done))
        #expect(try !open().isAwaited)
    }

    @Test(arguments: Breakage.allCases)
    func `broken files leave the old certificate in use and are reported once`(breakage: Breakage) throws {
        try put(authority.server())
        let files = try open()
        let context = files.context

        switch breakage {
        case .key: try directory.write("broken", to: "tls.key")
        case .chain: try directory.write("broken", to: "tls.crt")
        case .emptyChain: try directory.write("", to: "tls.crt")
        case .otherKey: try PrivateKey.generate().write(to: directory.file("tls.key"))
        case .missingKey: #expect(unsafe unlink(directory.file("tls.key")) == 0)
        }
        guard case .failed(let error) = files.reloadIfChanged() else {
            Issue.record("the breakage was not noticed")
            return
        }
        #expect(error.description.contains(directory.path))
        #expect(files.reloadIfChanged() == .unchanged)
        #expect(files.context === context)
        var pair = try ConnectedPair(files.context, authority.clientContext())
        #expect(pair.handshake() == (.done, .done))

        try put(authority.server())
        #expect(files.reloadIfChanged() == .reloaded)
        #expect(files.context !== context)
    }

    @Test func `files that could not be opened for a moment are loaded as soon as they can be`() async {
        // In a process of its own, where running out of descriptors hurts nobody else.
        await #expect(processExitsWith: .success) {
            let tests = try CertificateFilesTests()
            try tests.put(tests.authority.server())
            let files = try tests.open()
            let old = files.context
            try tests.put(tests.authority.server())

            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            let limited = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            #expect(limited == 0)
            var taken: [Int32] = []
            while case let descriptor = dup(0), descriptor >= 0 { taken.append(descriptor) }
            let chain = tests.directory.file("tls.crt")
            #expect(files.reloadIfChanged() == .failed(.file(path: chain, doing: "open", code: EMFILE)))
            #expect(files.reloadIfChanged() == .unchanged)
            for descriptor in taken { close(descriptor) }

            #expect(files.reloadIfChanged() == .reloaded)
            #expect(files.context !== old)
        }
    }

    enum Breakage: CaseIterable {
        case key, chain, emptyChain, otherKey, missingKey
    }

    @Test func `a change of the directory link that Kubernetes makes is noticed`() throws {
        let (old, new) = (try authority.server(), try authority.server())
        try put(old, in: "..2026_01")
        try put(new, in: "..2026_02")
        #expect(unsafe symlink("..2026_01", directory.file("..data")) == 0)
        for name in ["tls.crt", "tls.key"] {
            #expect(unsafe symlink("..data/\(name)", directory.file(name)) == 0)
        }
        let files = try open()
        #expect(files.context.certificate.serialNumber == old.certificate.serialNumber)

        #expect(unsafe symlink("..2026_02", directory.file("..data_tmp")) == 0)
        #expect(unsafe rename(directory.file("..data_tmp"), directory.file("..data")) == 0)
        #expect(files.reloadIfChanged() == .reloaded)
        #expect(files.context.certificate.serialNumber == new.certificate.serialNumber)
    }

    @Test func `a changed client authority decides over new connections`() throws {
        try put(authority.server())
        try Certificate.write([authority.authority.certificate], to: directory.file("ca.crt"))
        let files = try CertificateFiles(
            chain: directory.file("tls.crt"), key: directory.file("tls.key"),
            clientAuthorities: directory.file("ca.crt"))
        let client = try authority.clientContext(identity: authority.client())
        var before = try ConnectedPair(files.context, client)
        #expect(before.handshake() == (.done, .done))

        try Certificate.write([TestAuthority.other.authority.certificate], to: directory.file("ca.crt"))
        #expect(files.reloadIfChanged() == .reloaded)
        var after = try ConnectedPair(files.context, client)
        #expect(after.handshake().server.refusal?.contains("certificate verify failed") == true)
        try before.echo("still here")
    }

    @Test func `files that are broken at the start are an error that names the file`() throws {
        try put(authority.server())
        try directory.write("broken", to: "tls.key")
        let error = #expect(throws: TLSError.self) { _ = try open() }
        #expect(error?.description.contains(directory.file("tls.key")) == true)
    }

    @Test func `a start between the writing of certificate and key waits for the key`() throws {
        let (old, new) = (try authority.server(), try authority.server())
        try put(old)
        try Certificate.write(new.chain, to: directory.file("tls.crt"))
        let paths = ["tls.crt", "tls.key"].map { directory.file($0) }
        var problems: [TLSError] = []
        let (identity, stamps) = try SmallFile.loadSettled(paths) { () throws(TLSError) in
            do throws(TLSError) {
                return try Identity(chainFile: paths[0], keyFile: paths[1])
            } catch {
                problems.append(error)
                try new.key.write(to: paths[1])
                throw error
            }
        }
        #expect(identity.certificate.serialNumber == new.certificate.serialNumber)
        #expect(problems.map { $0.description.contains("does not belong to the first certificate") } == [true])
        #expect(stamps == SmallFile.stamps(of: paths))
    }

    @Test func `a start without one of the files does not wait`() throws {
        let paths = [directory.file("none.crt")]
        var loads = 0
        #expect(throws: TLSError.file(path: paths[0], doing: "open", code: ENOENT)) {
            try SmallFile.loadSettled(paths) { () throws(TLSError) in
                loads += 1
                // A wait would see this, and load again.
                try Certificate.write([authority.authority.certificate], to: paths[0])
                throw TLSError.file(path: paths[0], doing: "open", code: ENOENT)
            }
        }
        #expect(loads == 1)
    }

    private func open() throws -> CertificateFiles {
        try CertificateFiles(chain: directory.file("tls.crt"), key: directory.file("tls.key"))
    }

    private func put(_ identity: Identity) throws {
        try Certificate.write(identity.chain, to: directory.file("tls.crt"))
        try identity.key.write(to: directory.file("tls.key"))
    }

    private func put(_ identity: Identity, in folder: String) throws {
        try FileManager.default.createDirectory(
            atPath: directory.file(folder), withIntermediateDirectories: false)
        try Certificate.write(identity.chain, to: directory.file("\(folder)/tls.crt"))
        try identity.key.write(to: directory.file("\(folder)/tls.key"))
    }
}
