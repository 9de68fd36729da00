private import FoundationEssentials
private import Glibc
internal import Platform

/// What ``GCSEmulator`` answers; it does not keep the emulator itself alive.
final class GCSService: Sendable {
    typealias Answer = LoopbackServer.Answer
    typealias State = GCSEmulator.State

    private let state: Locked<State>

    init(state: Locked<State>) {
        self.state = state
    }

    func reply(to http: LoopbackServer.Request, isStopped: () -> Bool) -> LoopbackServer.Reply {
        var request = GCSRequest(http)
        let fault = state.withLock { $0.takeFault(for: request) }
        let reply: LoopbackServer.Reply
        switch fault {
        case nil: reply = .answer(answer(to: request, http))
        case .close: reply = .close
        case .answer(let status, let retryAfter, let acting):
            if acting { _ = answer(to: request, http) }
            reply = .answer(Answer.failure(status, retryAfter: retryAfter, request))
        case .loseAnswer:
            _ = answer(to: request, http)
            reply = .close
        case .cutAnswer: reply = .cut(answer(to: request, http))
        case .garbleAnswer:
            var answer = answer(to: request, http)
            answer.body = Array("<html>an answer, but not one of storage".utf8)
            reply = .answer(answer)
        case .hold(let gate):
            gate.pass(isStopped: isStopped)
            reply = .answer(answer(to: request, http))
        case .holdAnswer(let gate):
            reply = .answer(answer(to: request, http))
            gate.pass(isStopped: isStopped)
        case .delay(let time):
            wait(time, isStopped)
            reply = .answer(answer(to: request, http))
        case .delayAnswer(let time):
            reply = .answer(answer(to: request, http))
            wait(time, isStopped)
        }
        if case .answer(let answer) = reply { request.status = answer.status }
        log(request)
        return reply
    }

    private func wait(_ time: Duration, _ isStopped: () -> Bool) {
        let end = ContinuousClock.now + time
        while true {
            let left = end - .now
            guard left > .zero, !isStopped() else { return }
            // In few pieces: dozens of threads may wait here at once.
            usleep(UInt32(min(left, .milliseconds(20)) / .microseconds(1)) + 1)
        }
    }

    private func log(_ request: GCSRequest) {
        let ready = state.withLock { state in
            if state.log.count == GCSEmulator.logMax {
                state.log.removeFirst(GCSEmulator.logMax / 2)
                state.forgotten += GCSEmulator.logMax / 2
            }
            state.log.append(request)
            let ready = state.waiters.filter { $0.matches(request) }
            state.waiters.removeAll { $0.matches(request) }
            return ready.map(\.resume)
        }
        for resume in ready { resume(request) }
    }

    // MARK: - The API

    private func answer(to request: GCSRequest, _ http: LoopbackServer.Request) -> Answer {
        let upload = request.kind == .write ? GCSUpload(http) : nil
        return state.withLock { state in
            if let tokens = state.tokens, !tokens.contains(request.headers.bearerToken ?? "") {
                return .failure(401, request)
            }
            guard request.kind != .other else { return .failure(404, request, message: "Not Found") }
            guard let bucket = state.buckets[request.bucket] else {
                return .failure(404, request, message: "The specified bucket does not exist.")
            }
            if bucket.settings.requesterPays, request.query["userProject"] == nil {
                return .failure(
                    400, request, message: "Bucket is a requester pays bucket but no user project provided.",
                    reason: "required")
            }
            switch request.kind {
            case .getBucket: return Answer(200, json: bucket.json(name: request.bucket))
            case .list: return Self.list(bucket, request)
            case .get, .read: return Self.read(bucket, request)
            case .write, .patch, .delete: return Self.mutate(&state, request, http, upload)
            case .other: return .failure(404, request)
            }
        }
    }

    private static func read(_ bucket: GCSBucket, _ request: GCSRequest) -> Answer {
        guard let object = bucket.objects[request.object] else { return .noObject(request) }
        if let refusal = precondition(object, request) { return refusal }
        guard request.kind == .read else {
            let fields = request.query["fields"].map { Set($0.split(separator: ",").map(String.init)) }
            if let unknown = fields?.subtracting(GCSObject.fieldNames).first { return .badField(unknown, request) }
            return Answer(200, json: object.json(name: request.object, bucket: request.bucket, fields: fields))
        }
        var headers = [
            ("Content-Type", object.attributes.contentType ?? "application/octet-stream"),
            ("X-Goog-Generation", "\(object.generation)"), ("X-Goog-Metageneration", "\(object.metageneration)"),
            ("X-Goog-Hash", "crc32c=\(object.checksumText)"), ("X-Goog-Stored-Content-Encoding", "identity"),
            ("X-Goog-Stored-Content-Length", "\(object.body.count)"),
        ]
        headers.append(("Cache-Control", object.attributes.cacheControl ?? "private, max-age=0"))
        return Answer(200, headers: headers, body: object.body)
    }

    private static func list(_ bucket: GCSBucket, _ request: GCSRequest) -> Answer {
        let prefix = request.query["prefix"] ?? ""
        let fields: Set<String>?
        switch GCSListFields.parse(request.query["fields"]) {
        case .success(let found): fields = found
        case .failure(let error): return .badField(error.name, request)
        }
        let limit = min(max(Int(request.query["maxResults"] ?? "") ?? 1000, 1), bucket.settings.pageSizeMax)
        var items: [String] = []
        var prefixes: [String] = []
        var last: String?
        let start: Int
        if let token = request.query["pageToken"] {
            guard let name = Data(base64Encoded: token) else {
                return .failure(400, request, message: "Invalid page token", reason: "invalid")
            }
            start = bucket.index(of: String(decoding: name, as: UTF8.self) + "\0")
        } else {
            start = bucket.index(of: prefix)
        }
        var index = max(start, request.query["startOffset"].map { bucket.index(of: $0) } ?? 0)
        let end = request.query["endOffset"].map { bucket.index(of: $0) } ?? bucket.names.count
        while index < end, items.count + prefixes.count < limit {
            let name = bucket.names[index]
            guard name.hasPrefix(prefix) else { break }
            index += 1
            last = name
            if let delimiter = request.query["delimiter"],
                let found = name.dropFirst(prefix.count).firstRange(of: delimiter)
            {
                let folder = String(name[..<found.upperBound])
                if prefixes.last != folder { prefixes.append(folder) }
                continue
            }
            items.append(bucket.objects[name]!.json(name: name, bucket: request.bucket, fields: fields))
        }
        var members = ["\"kind\":\"storage#objects\""]
        if index < end, bucket.names[index].hasPrefix(prefix), let last {
            members.append("\"nextPageToken\":\"\(Data(last.utf8).base64EncodedString())\"")
        }
        if !prefixes.isEmpty { members.append("\"prefixes\":[\(prefixes.map(Log.quoted).joined(separator: ","))]") }
        if !items.isEmpty { members.append("\"items\":[\(items.joined(separator: ","))]") }
        return Answer(200, json: "{\(members.joined(separator: ","))}")
    }

    private static func mutate(
        _ state: inout State, _ request: GCSRequest, _ http: LoopbackServer.Request, _ upload: GCSUpload?
    ) -> Answer {
        guard let bucket = state.buckets[request.bucket] else { return .failure(404, request) }
        let found = bucket.objects[request.object]
        if let refusal = precondition(found, request) { return refusal }
        let now = GCSObject.microsecondsNow()
        if state.limitsMutations, now - (bucket.mutations[request.object] ?? 0) < 1_000_000 {
            return .failure(429, request)
        }
        if request.kind != .patch, let found, let seconds = bucket.settings.retentionSeconds,
            now - found.createdAt < Int64(seconds) * 1_000_000
        {
            return .failure(
                403, request,
                message:
                    "Object '\(request.bucket)/\(request.object)' is subject to bucket's retention policy or object "
                    + "retention and cannot be deleted or overwritten until its retention has ended.",
                reason: "retentionPolicyNotMet")
        }
        switch request.kind {
        case .write:
            guard let upload else { return .failure(400, request, message: "Bad multipart body", reason: "badRequest") }
            let object = GCSObject(body: upload.body, generation: state.nextGeneration(), attributes: upload.attributes)
            if let problem = upload.problem(with: object) { return .failure(400, request, message: problem) }
            state.buckets[request.bucket]?.put(object, at: request.object)
            state.watch?(request, object.body)
        case .patch:
            guard found != nil else { return .noObject(request) }
            guard let change = try? JSONDecoder().decode(GCSAttributes.self, from: Data(http.body)) else {
                return .failure(400, request, message: "Parse Error", reason: "parseError")
            }
            state.buckets[request.bucket]?.edit(request.object) { object in
                object.metageneration += 1
                object.updatedAt = now
                if let metadata = change.metadata {
                    object.attributes.metadata = (object.attributes.metadata ?? [:]).merging(metadata) { $1 }
                }
            }
        default:
            guard found != nil else { return .noObject(request) }
            state.buckets[request.bucket]?.remove(request.object)
        }
        state.buckets[request.bucket]?.mutations[request.object] = now
        guard let object = state.buckets[request.bucket]?.objects[request.object], request.kind != .delete else {
            return Answer(204)
        }
        let fields = request.query["fields"].map { Set($0.split(separator: ",").map(String.init)) }
        return Answer(200, json: object.json(name: request.object, bucket: request.bucket, fields: fields))
    }

    /// 412 when the request is conditional and the condition does not hold.
    private static func precondition(_ object: GCSObject?, _ request: GCSRequest) -> Answer? {
        for (name, value) in [
            ("ifGenerationMatch", object?.generation ?? 0), ("ifMetagenerationMatch", object?.metageneration ?? 0),
        ] {
            guard let wanted = request.query[name] else { continue }
            guard let wanted = Int64(wanted) else {
                return .failure(400, request, message: "Invalid argument: \(name)", reason: "invalid")
            }
            if wanted != value { return .failure(412, request) }
        }
        if let generation = request.query["generation"], Int64(generation) != object?.generation {
            return .noObject(request)
        }
        return nil
    }
}

extension GCSEmulator.State {
    fileprivate mutating func takeFault(for request: GCSRequest) -> GCSEmulator.Effect? {
        guard let index = faults.firstIndex(where: { $0.matches(request) }) else { return nil }
        let effect = faults[index].effect
        if let remaining = faults[index].remaining {
            if remaining > 1 { faults[index].remaining = remaining - 1 } else { faults.remove(at: index) }
        }
        return effect
    }
}

extension [String: String] {
    fileprivate var bearerToken: String? {
        self["authorization"].flatMap { $0.hasPrefix("Bearer ") ? String($0.dropFirst(7)) : nil }
    }
}
