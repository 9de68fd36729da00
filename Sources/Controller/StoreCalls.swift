internal import Election
internal import Storage

/// The store calls of this run: each request is sent at once and answered exactly once, in time or as unclear.
///
/// A value of its owner, who alone says what is still awaited; only the calls themselves run elsewhere. Calls are
/// numbered through all incarnations of the run, so that an answer to an earlier one cannot reach a later one, whose
/// elector counts its requests from the beginning.
struct StoreCalls {
    typealias Number = UInt64

    /// A call that came back, in time or not.
    struct Completion: Sendable {
        let call: Number
        let answer: Answer
        /// Objects of a listed folder that cannot be records, by their names.
        var foreign: [String] = []
        let duration: Duration
    }

    /// An answer for the elector.
    struct Settled: Hashable, Sendable {
        let request: RequestID
        let answer: Answer
    }

    private struct Call {
        let request: Request
        let deadline: ContinuousClock.Instant
        let task: Task<Void, Never>
    }

    /// How many calls may be given up on and not have come back. At the bound nothing is sent until one does: a store
    /// whose calls never end would otherwise take the process's memory and threads.
    static let abandonedMax = 256

    private let store: any LeaseStore
    private let timeout: Duration
    private let status: ElectionStatus
    private let deliver: @Sendable (Completion) -> Void
    private var lastNumber: Number = 0
    private var awaited: [Number: Call] = [:]
    private var abandoned: [Number: Task<Void, Never>] = [:]

    /// - Parameter deliver: gets each completion, on any thread; hands it to the owner, who calls ``settle(_:)``.
    init(
        store: any LeaseStore, timeout: Duration, status: ElectionStatus,
        deliver: @escaping @Sendable (Completion) -> Void
    ) {
        self.store = store
        self.timeout = timeout
        self.status = status
        self.deliver = deliver
    }

    /// Sends a request, once, behind no other.
    mutating func start(_ request: Request) {
        lastNumber += 1
        let (number, started) = (lastNumber, ContinuousClock.now)
        let refusal = abandoned.count < Self.abandonedMax ? nil : refusalAtBound
        let task = Task { [store, deliver] in
            let (answer, foreign) =
                if let refusal { (refusal, [String]()) } else { await Self.send(request.operation, to: store) }
            deliver(Completion(call: number, answer: answer, foreign: foreign, duration: .now - started))
        }
        awaited[number] = Call(request: request, deadline: started + timeout, task: task)
    }

    private var refusalAtBound: Answer {
        .failed(
            "not sent: \(abandoned.count) earlier calls have not come back from the store, although each was given up "
                + "after \(timeout.forPeople). Check what the store waits for, or restart this process")
    }

    /// What a completion means to the elector; nil: the call is no longer awaited, so its answer is dropped.
    mutating func settle(_ completion: Completion) -> Settled? {
        guard let call = awaited.removeValue(forKey: completion.call) else {
            abandoned[completion.call] = nil
            status.setAbandonedCalls(abandoned.count)
            return nil
        }
        status.count(call.request.operation, .answered(completion.answer), duration: completion.duration)
        return Settled(request: call.request.id, answer: completion.answer)
    }

    /// The requests whose time is up at `now`, in the order in which they were sent. Their calls are not waited for.
    mutating func giveUp(at now: ContinuousClock.Instant) -> [Settled] {
        awaited.filter { $0.value.deadline <= now }.sorted { $0.key < $1.key }.map { number, call in
            abandon(number, call)
            status.count(call.request.operation, .timedOut, duration: timeout)
            return Settled(request: call.request.id, answer: .unclear("no answer within \(timeout.forPeople)"))
        }
    }

    /// Drops all answers that are still to come: their incarnation has ended.
    mutating func giveUpAll() {
        for (number, call) in awaited { abandon(number, call) }
    }

    /// When ``giveUp(at:)`` is next to be called; nil: nothing is awaited.
    var nextDeadline: ContinuousClock.Instant? {
        awaited.values.lazy.map(\.deadline).min()
    }

    private mutating func abandon(_ number: Number, _ call: Call) {
        awaited[number] = nil
        abandoned[number] = call.task
        status.setAbandonedCalls(abandoned.count)
        // A hint that saves work; a write may have taken effect all the same, which is why the answer is "unclear".
        call.task.cancel()
    }

    // MARK: Between the store's words and the election's

    private static func send(_ operation: Request.Operation, to store: any LeaseStore) async -> (Answer, [String]) {
        switch operation {
        case .read(let record):
            guard let name = ObjectName(record) else { return (notAName(record), []) }
            do throws(StoreError) {
                guard let object = try await store.read(name) else { return (.object(nil), []) }
                guard object.name == name else {
                    return (.unclear("asked for \(name), the store answered with \(object.name)"), [])
                }
                return (.object(RecordObject(record, object)), [])
            } catch { return (answer(to: error, isWrite: false), []) }
        case .list(let folder):
            do throws(StoreError) {
                return sort(try await store.list(.init(folder)), in: folder)
            } catch { return (answer(to: error, isWrite: false), []) }
        case .write(let record, let body, let replacing):
            guard let name = ObjectName(record) else { return (notAName(record), []) }
            do throws(StoreError) {
                let version = replacing.map { ObjectVersion($0.rawValue) }
                return (.written(Version(try await store.write(name, body, replacing: version).rawValue)), [])
            } catch { return (answer(to: error, isWrite: true), []) }
        }
    }

    private static func answer(to error: StoreError, isWrite: Bool) -> Answer {
        switch error {
        case .conflict where isWrite: .conflict
        case .conflict: .unclear("the store answered a read with a version conflict")
        case .failed(let text): .failed(text)
        case .unclear(let text): .unclear(text)
        }
    }

    private static func notAName(_ record: RecordName) -> Answer {
        .failed("\(record) is no name that a store keeps")
    }

    /// Splits a listed folder into records and objects that somebody else put there.
    private static func sort(_ objects: [StoredObject], in folder: RecordName.Folder) -> (Answer, [String]) {
        var records: [RecordObject] = []
        var foreign: [String] = []
        records.reserveCapacity(objects.count)
        for object in objects {
            let record = RecordName(folder, object.name.name)
            if object.name.folder == .init(folder), record == .notice || RecordName.isValid(record.name) {
                records.append(RecordObject(record, object))
            } else if !object.name.isReserved {
                foreign.append(object.name.description)
            }
        }
        return (.objects(records), foreign)
    }
}

extension ObjectName.Folder {
    fileprivate init(_ folder: RecordName.Folder) {
        switch folder {
        case .members: self = .members
        case .leases: self = .leases
        }
    }
}

extension ObjectName {
    fileprivate init?(_ record: RecordName) {
        self.init(.init(record.folder), record.name)
    }
}

extension RecordObject {
    fileprivate init(_ name: RecordName, _ object: StoredObject) {
        self.init(name: name, version: Version(object.version.rawValue), body: object.body)
    }
}
