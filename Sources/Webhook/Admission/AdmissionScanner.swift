/// Takes the few fields that decide out of an AdmissionReview, in one pass over the bytes in place.
///
/// No tree is built and, once warm, nothing allocated: values are ranges of the body, or decoded into scratch memory
/// when they carry escapes. `object`, `oldObject`, `options` and all else are validated and skipped.
///
/// What is accepted, and why nobody can make the API server see one namespace or user and this scanner another: the
/// caller of the API server writes values only, never the envelope; the API server's encoder (Go's encoding/json)
/// writes each key once, as spelt in the API, in valid UTF-8 without lone surrogates. Wherever that encoder cannot
/// have written a text, there are two choices: read it as Go would, or refuse it, which under `failurePolicy: Fail` is a
/// denial. So
/// - only valid JSON by RFC 8259 with nothing after it, nested at most ``JSONBytes/depthMax`` levels, is accepted;
/// - invalid UTF-8 is refused anywhere (Go would read U+FFFD);
/// - a lone surrogate escape is refused in values and keys that are read (Go: U+FFFD), and is grammar elsewhere: a raw
///   extension in an object may carry what its author wrote;
/// - of duplicate keys the last wins, objects merge and `null` leaves a field as it was, except `request`, `groups` and
///   `dryRun`, which it empties: all as in Go, where these three are a pointer, a slice and a pointer;
/// - a key that differs from one that is read in case only is refused, as Go would take it, and so is a non-ASCII
///   key beside those, as Go folds some such letters to ASCII ones;
/// - a value of the wrong type, a missing `uid` and a missing user name are refused.
@safe package struct AdmissionScanner: ~Copyable {
    /// The request of the last successful scan; see ``Text`` for how long it is valid.
    package private(set) var request = AdmissionRequest()
    /// Where values that carry escapes are decoded; never moved while a request's texts point into it.
    private var scratch = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// Scratch memory above this size is given back before the next scan.
    private static let scratchKept = 16 * 1024

    package init() {}

    deinit { unsafe scratch.deallocate() }

    /// Reads `body` into ``request``, which is empty after an error.
    ///
    /// - Parameter body: the whole body; must stay in place as long as ``request`` is used.
    package mutating func scan(_ body: UnsafeRawBufferPointer) throws(ScanError) {
        if unsafe scratch.count > Self.scratchKept {
            unsafe scratch.deallocate()
            unsafe scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
        // The scan works on a copy that alone owns the groups' memory, so that appending to them is in place.
        var review = Review(request: request)
        request = AdmissionRequest()
        review.request.reset()
        do throws(ScanError) {
            try unsafe scan(JSONBytes(body), &review)
            request = review.request
        } catch {
            review.request.reset()
            request = review.request
            throw error
        }
    }

    private mutating func scan(_ json: JSONBytes, _ review: inout Review) throws(ScanError) {
        let start = try json.token(from: 0)
        let isObject = json[start] == UInt8(ascii: "{")
        let end = try isObject ? Self.scanReview(json, start, &review) : json.skipValue(from: start, depth: 0)
        let rest = json.end(ofWhitespaceFrom: end)
        guard rest == json.count else { throw json.unexpected(at: rest) }
        try decodeEscapes(&review)
        guard review.kind.equals("AdmissionReview"), review.apiVersion.equals("admission.k8s.io/v1") else {
            throw ScanError(kind: .notAdmissionReview, offset: start)
        }
        guard !review.request.uid.isEmpty else { throw ScanError(kind: .missingUID, offset: end) }
        // Without it nobody could be judged, and whoever is no service account is not subject to the guard.
        guard !review.request.username.isEmpty else { throw ScanError(kind: .missingUsername, offset: end) }
        guard !review.request.repeatsTooMuch else { throw ScanError(kind: .tooLarge, offset: end) }
    }

    // MARK: The objects that are read. Each takes the index of the opening brace and returns the index after the end.

    private static func scanReview(_ json: JSONBytes, _ start: Int, _ review: inout Review) throws(ScanError) -> Int {
        var index = start + 1
        while let member = try Member(json, &index, isFirst: index == start + 1) {
            if try member.isNamed("kind") {
                index = try member.take(&review.kind)
            } else if try member.isNamed("apiVersion") {
                index = try member.take(&review.apiVersion)
            } else if try member.isNamed("request") {
                if member.isObject {
                    index = try scanRequest(json, member.value, &review.request)
                } else {
                    index = try member.skipNull()
                    review.request.reset()
                }
            } else {
                index = try json.skipValue(from: member.value, depth: 1)
            }
        }
        return index
    }

    private static func scanRequest(
        _ json: JSONBytes, _ start: Int, _ request: inout AdmissionRequest
    ) throws(ScanError) -> Int {
        var index = start + 1
        while let member = try Member(json, &index, isFirst: index == start + 1) {
            if try member.isNamed("uid") {
                index = try member.take(&request.uid)
            } else if try member.isNamed("kind") {
                index = try scanGroupVersion(json, member, named: "kind", &request.kind)
            } else if try member.isNamed("resource") {
                index = try scanGroupVersion(json, member, named: "resource", &request.resource)
            } else if try member.isNamed("subResource") {
                index = try member.take(&request.subResource)
            } else if try member.isNamed("name") {
                index = try member.take(&request.name)
            } else if try member.isNamed("namespace") {
                index = try member.take(&request.namespace)
            } else if try member.isNamed("operation") {
                index = try member.take(&request.operation)
            } else if try member.isNamed("userInfo") {
                index = try member.isObject ? scanUserInfo(json, member.value, &request) : member.skipNull()
            } else if try member.isNamed("dryRun") {
                index = try member.take(&request.dryRun)
            } else {
                index = try json.skipValue(from: member.value, depth: 2)
            }
        }
        return index
    }

    private static func scanUserInfo(
        _ json: JSONBytes, _ start: Int, _ request: inout AdmissionRequest
    ) throws(ScanError) -> Int {
        var index = start + 1
        while let member = try Member(json, &index, isFirst: index == start + 1) {
            if try member.isNamed("username") {
                index = try member.take(&request.username)
            } else if try member.isNamed("groups") {
                index = try member.take(&request.groups)
            } else {
                index = try json.skipValue(from: member.value, depth: 3)
            }
        }
        return index
    }

    private static func scanGroupVersion(
        _ json: JSONBytes, _ outer: Member, named name: StaticString, _ result: inout AdmissionRequest.GroupVersionName
    ) throws(ScanError) -> Int {
        guard outer.isObject else { return try outer.skipNull() }
        var index = outer.value + 1
        while let member = try Member(json, &index, isFirst: index == outer.value + 1) {
            if try member.isNamed("group") {
                index = try member.take(&result.group)
            } else if try member.isNamed("version") {
                index = try member.take(&result.version)
            } else if try member.isNamed(name) {
                index = try member.take(&result.name)
            } else {
                index = try json.skipValue(from: member.value, depth: 3)
            }
        }
        return index
    }

    // MARK: Escapes

    /// Replaces the texts that carry escapes by what these stand for.
    private mutating func decodeEscapes(_ review: inout Review) throws(ScanError) {
        var needed = 0
        try review.forEachText { text throws(ScanError) in needed += text.isEscaped ? text.count : 0 }
        guard needed > 0 else { return }
        if unsafe scratch.count < needed {
            unsafe scratch.deallocate()
            unsafe scratch = .allocate(byteCount: needed, alignment: 1)
        }
        var used = 0
        // Decoded, a text is never longer than it was.
        let scratch = unsafe scratch
        try review.forEachText { text throws(ScanError) in
            guard text.isEscaped else { return }
            let start = used
            var decoded = unsafe UnescapedBytes(JSONBytes(text.utf8), 0, text.count)
            while let byte = try decoded.next() {
                unsafe scratch[used] = byte
                used += 1
            }
            text = unsafe Text(UnsafeRawBufferPointer(rebasing: scratch[start..<used]))
        }
    }
}

extension AdmissionScanner {
    private struct Review {
        var kind = Text()
        var apiVersion = Text()
        var request: AdmissionRequest

        mutating func forEachText(_ body: (inout Text) throws(ScanError) -> Void) throws(ScanError) {
            try body(&kind)
            try body(&apiVersion)
            try request.forEachText(body)
        }
    }

    /// A member of an object that is read, its value not yet scanned.
    private struct Member {
        private let json: JSONBytes
        /// Indices of the key's inside.
        private let key: (start: Int, end: Int)
        private let keyIsPlain: Bool
        /// Bytes of the key with its escapes resolved.
        private let keyCount: Int
        /// Index of the value's first byte.
        let value: Int

        /// Steps over the next key and its colon; nil, having stepped over the brace, when the object ends.
        ///
        /// - Parameters:
        ///   - index: after the opening brace or after the previous value.
        ///   - isFirst: whether it is after the opening brace.
        init?(_ json: JSONBytes, _ index: inout Int, isFirst: Bool) throws(ScanError) {
            index = try json.token(from: index)
            if json[index] == UInt8(ascii: "}") {
                index += 1
                return nil
            }
            if !isFirst {
                guard json[index] == UInt8(ascii: ",") else { throw json.unexpected(at: index) }
                index = try json.token(from: index + 1)
            }
            guard json[index] == UInt8(ascii: "\"") else { throw json.unexpected(at: index) }
            var isPlain = true
            let end = try json.skipString(from: index, &isPlain)
            self.json = json
            key = (index + 1, end - 1)
            keyIsPlain = isPlain
            value = try json.token(from: json.skipColon(from: end))
            keyCount = isPlain ? end - index - 2 : try Self.countASCII(UnescapedBytes(json, index + 1, end - 1), index)
        }

        /// Once for each key, as one may fill the body.
        ///
        /// - Throws: `ambiguousKey` when some are not ASCII: a careless reader might take such a letter for another.
        private static func countASCII(_ key: consuming UnescapedBytes, _ start: Int) throws(ScanError) -> Int {
            var count = 0
            while let byte = try key.next() {
                guard byte < 0x80 else { throw ScanError(kind: .ambiguousKey, offset: start + 1) }
                count += 1
            }
            return count
        }

        var isObject: Bool { json[value] == UInt8(ascii: "{") }

        /// Whether the key is `name`, which consists of ASCII letters.
        ///
        /// - Throws: `ambiguousKey` when only a careless reader would say yes.
        func isNamed(_ name: StaticString) throws(ScanError) -> Bool {
            guard keyCount == name.utf8CodeUnitCount else { return false }
            if keyIsPlain {
                let text = unsafe Text(json.slice(key.start, key.end))
                if text.equals(name) { return true }
                if text.equalsIgnoringCase(name) { throw ScanError(kind: .ambiguousKey, offset: key.start) }
                return false
            }
            // With escapes: no API server writes such a key.
            var (decoded, position, isEqual) = (UnescapedBytes(json, key.start, key.end), 0, true)
            while let byte = try decoded.next() {
                let other = unsafe name.utf8Start[position]
                guard byte | 0x20 == other | 0x20 else { return false }
                isEqual = isEqual && byte == other
                position += 1
            }
            guard isEqual else { throw ScanError(kind: .ambiguousKey, offset: key.start) }
            return true
        }

        /// Steps over `null`, the one value beside those of its type that every field may have.
        func skipNull() throws(ScanError) -> Int {
            // What is no value at all is a syntax error first.
            let end = try json.skipValue(from: value, depth: 0)
            guard json[value] == UInt8(ascii: "n") else { throw ScanError(kind: .wrongType, offset: value) }
            return end
        }

        func take(_ text: inout Text) throws(ScanError) -> Int {
            try json[value] == UInt8(ascii: "\"") ? take(from: value, &text) : skipNull()
        }

        private func take(from start: Int, _ text: inout Text) throws(ScanError) -> Int {
            var isPlain = true
            let end = try json.skipString(from: start, &isPlain)
            text = unsafe Text(json.slice(start + 1, end - 1))
            if !isPlain {
                // Decoded once to find half a surrogate pair, and again when all is read and the memory is at hand.
                var (decoded, count) = (UnescapedBytes(json, start + 1, end - 1), 0)
                while try decoded.next() != nil { count += 1 }
                text.isEscaped = count != text.count
            }
            return end
        }

        func take(_ flag: inout Bool) throws(ScanError) -> Int {
            flag = json[value] == UInt8(ascii: "t")
            return try flag || json[value] == UInt8(ascii: "f") ? json.skipLiteral(from: value) : skipNull()
        }

        func take(_ texts: inout [Text]) throws(ScanError) -> Int {
            texts.removeAll(keepingCapacity: true)
            guard json[value] == UInt8(ascii: "[") else { return try skipNull() }
            var index = try json.token(from: value + 1)
            if json[index] == UInt8(ascii: "]") { return index + 1 }
            while true {
                guard json[index] == UInt8(ascii: "\"") else {
                    _ = try json.skipValue(from: index, depth: 0)
                    throw ScanError(kind: .wrongType, offset: index)
                }
                guard texts.count < AdmissionRequest.groupsMax else { throw ScanError(kind: .tooLarge, offset: index) }
                var text = Text()
                index = try json.token(from: take(from: index, &text))
                texts.append(text)
                if json[index] == UInt8(ascii: "]") { return index + 1 }
                guard json[index] == UInt8(ascii: ",") else { throw json.unexpected(at: index) }
                index = try json.token(from: index + 1)
            }
        }
    }
}
