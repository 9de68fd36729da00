import Storage
import Support
import Testing

/// What each misbehaviour of the service or the way to it means to the election.
@Suite struct GCSFaultTests {
    private let lease = GCSTrial.lease
    private let record = Array("{\"term\":1}\n".utf8)

    struct Fault: CustomTestStringConvertible {
        let effect: GCSEmulator.Effect
        let ending: Ending
        /// Whether the write took effect all the same.
        let hasLanded: Bool

        init(_ effect: GCSEmulator.Effect, _ ending: Ending, hasLanded: Bool = false) {
            (self.effect, self.ending, self.hasLanded) = (effect, ending, hasLanded)
        }

        var testDescription: String { "\(effect)" }
    }

    @Test(arguments: [
        Fault(.close, .unclear), Fault(.loseAnswer, .unclear, hasLanded: true),
        Fault(.cutAnswer, .unclear, hasLanded: true), Fault(.garbleAnswer, .unclear, hasLanded: true),
        Fault(.answer(408), .unclear), Fault(.answer(409), .unclear), Fault(.answer(429), .unclear),
        Fault(.answer(429, retryAfter: 1), .unclear), Fault(.answer(500), .unclear),
        Fault(.answer(503, retryAfter: 1), .unclear), Fault(.answer(503, acting: true), .unclear, hasLanded: true),
        Fault(.answer(302), .unclear), Fault(.answer(308), .unclear), Fault(.answer(204), .unclear),
        Fault(.answer(400), .failed), Fault(.answer(401), .failed), Fault(.answer(403), .failed),
        Fault(.answer(404), .failed), Fault(.answer(412), .conflict),
    ])
    func `a write is sent once, and is definite only when the service says that it did nothing`(
        fault: Fault
    ) async throws {
        let trial = try GCSTrial()
        trial.emulator.inject(fault.effect) { $0.kind == .write }
        let (ending, text) = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(lease, record, replacing: nil)
        }
        #expect(ending == fault.ending, "\(text)")
        #expect(trial.requests(.write).count == 1)
        #expect((trial.body(of: lease) != nil) == fault.hasLanded)
        // Afterwards it works again.
        _ = try await trial.store.write(ObjectName(.leases, "other")!, record, replacing: nil)
    }

    @Test func `a replacement of something that is gone is a conflict, whether the service says 404 or 412`()
        async throws
    {
        let trial = try GCSTrial()
        let version = try await trial.store.write(lease, record, replacing: nil)
        trial.emulator.inject(.answer(404)) { $0.kind == .write }
        await #expect(throws: StoreError.conflict) { try await trial.store.write(lease, record, replacing: version) }
    }

    @Test func `a write to a service that cannot be reached has certainly not been made`() async throws {
        let trial = try GCSTrial()
        trial.emulator.isDown = true
        let (ending, text) = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(lease, record, replacing: nil)
        }
        #expect(ending == .failed)
        #expect(text.contains("127.0.0.1"))
        trial.emulator.isDown = false
        _ = try await trial.store.write(lease, record, replacing: nil)
    }

    @Test func `a write whose time runs out is unclear, and may land later`() async throws {
        let trial = try GCSTrial(timeout: GCSTrial.short)
        let gate = Gate()
        trial.emulator.inject(.hold(gate)) { $0.kind == .write }
        let (ending, _) = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(lease, record, replacing: nil)
        }
        #expect(ending == .unclear)
        #expect(trial.body(of: lease) == nil)
        gate.open()
        #expect(await trial.emulator.request { $0.kind == .write }.status == 200)
        #expect(trial.body(of: lease) == record)
    }

    @Test func `writes of one object that come too fast for the service are unclear`() async throws {
        let trial = try GCSTrial()
        trial.emulator.limitsMutations = true
        var version = try await trial.store.write(lease, record, replacing: nil)
        var unclear: String?
        // On a machine that is busy enough, some may come a second apart.
        for _ in 0..<20 where unclear == nil {
            do throws(StoreError) {
                version = try await trial.store.write(lease, record, replacing: version)
            } catch {
                guard case .unclear(let text) = error else { throw error }
                unclear = text
            }
        }
        #expect(
            unclear?.contains("429, \"The object trial-bucket/some/prefix/leases/team-a exceeded the rate limit")
                == true)
    }

    // MARK: - Reads and lists

    @Test(arguments: [
        Fault(.close, .done), Fault(.cutAnswer, .done), Fault(.loseAnswer, .done), Fault(.answer(408), .done),
        Fault(.answer(429), .done), Fault(.answer(429, retryAfter: 1), .done), Fault(.answer(500), .done),
        Fault(.answer(503), .done), Fault(.answer(504), .done), Fault(.garbleAnswer, .unclear),
        Fault(.answer(429, retryAfter: 3600), .unclear), Fault(.answer(400), .failed), Fault(.answer(401), .failed),
        Fault(.answer(403), .failed),
    ])
    func `reads and lists are asked again when that may help and there is time`(fault: Fault) async throws {
        let trial = try GCSTrial()
        let version = try await trial.store.write(lease, record, replacing: nil)
        let object = StoredObject(name: lease, version: version, body: record)

        trial.emulator.inject(fault.effect) { $0.kind == .get }
        let reading = await Ending.of { () async throws(StoreError) in
            #expect(try await trial.store.read(lease) == object)
        }
        #expect(reading.0 == fault.ending, "\(reading.text)")
        #expect(trial.requests(.get).count == (fault.ending == .done ? 2 : 1))

        trial.emulator.inject(fault.effect) { $0.kind == .list }
        let listing = await Ending.of { () async throws(StoreError) in
            #expect(try await trial.store.list(.leases) == [object])
        }
        #expect(listing.0 == fault.ending, "\(listing.text)")
        #expect(trial.requests(.list).count == (fault.ending == .done ? 2 : 1))
    }

    @Test func `a read goes on until the service is there again`() async throws {
        let trial = try GCSTrial()
        trial.emulator.isDown = true
        let reading = Task { try await trial.store.read(GCSTrial.lease) }
        trial.emulator.isDown = false
        #expect(try await reading.value == nil)
    }

    @Test(arguments: [true, false])
    func `a read of a service that does not answer ends when its time is up`(isDown: Bool) async throws {
        let trial = try GCSTrial(timeout: GCSTrial.short)
        let gate = Gate()
        if isDown { trial.emulator.isDown = true } else { trial.emulator.inject(.hold(gate), count: nil) }
        let reading = await Ending.of { () async throws(StoreError) in try await trial.store.read(lease) }
        #expect(reading.0 == (isDown ? .failed : .unclear))
        let listing = await Ending.of { () async throws(StoreError) in try await trial.store.list(.leases) }
        #expect(listing.0 == (isDown ? .failed : .unclear))
        gate.open()
    }

    @Test func `a page that fails does not shorten the list`() async throws {
        let trial = try GCSTrial()
        for number in 0..<1001 { trial.put([], at: ObjectName(.leases, "n\(number)")!) }
        trial.emulator.inject(.answer(503)) { $0.kind == .list && $0.query["pageToken"] != nil }
        #expect(try await trial.store.list(.leases).count == 1001)
        // By now it is known where the second page begins.
        trial.emulator.inject(.answer(403)) { $0.kind == .list && $0.query["startOffset"] != nil }
        await #expect(throws: StoreError.self) { try await trial.store.list(.leases) }
    }

    @Test func `an error says what was tried, what the service said and what to do`() async throws {
        let trial = try GCSTrial()
        trial.emulator.inject(.answer(403)) { $0.kind == .write }
        let (_, text) = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(lease, record, replacing: nil)
        }
        #expect(
            text.hasPrefix(
                "gs://trial-bucket/some/prefix/leases/team-a was not written: gs://trial-bucket: the service answered 403, "
                    + "\"caller does not have storage access to trial-bucket."), "\(text)")
        #expect(text.contains("roles/storage.objectUser"))
        #expect(!text.contains("\n"))
    }
}
