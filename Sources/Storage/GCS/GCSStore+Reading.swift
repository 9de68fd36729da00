/// The requests that reads and lists are made of.
extension GCSStore {
    /// A list has 1,000 items with metadata of 8 KiB, which JSON escapes may double.
    private static let listBytesMax = 32 << 20
    /// Objects of a list that are read one by one, at once.
    private static let readsMax = 16

    /// - Returns: nil when there is no such object.
    func item(_ name: ObjectName, by deadline: ContinuousClock.Instant) async throws(StoreError) -> GCSItem? {
        let call = GCSClient.Call(path: path(name), query: [("fields", GCSItem.fields)])
        while true {
            let response = try await client.ask(call, by: deadline)
            switch response.status {
            case 200:
                guard let item = JSONText.decode(GCSItem.self, from: response.body),
                    Self.isGeneration(item.generation)
                else {
                    throw .unclear("\(place(name)) was not read: the answer can't be read as one of the service.")
                }
                return item
            case 404:
                // The answer is the same when the whole bucket is gone, and a lease whose record is missing may be taken.
                // A list tells the two apart: it is 404 only without the bucket.
                if try await !isListed(name, by: deadline) { return nil }
            default:
                throw .failed("\(place(name)) was not read: \(client.failure(response))")
            }
        }
    }

    private func isListed(_ name: ObjectName, by deadline: ContinuousClock.Instant) async throws(StoreError) -> Bool {
        let call = GCSClient.Call(
            path: objectsPath, query: [("prefix", key(name)), ("maxResults", "1"), ("fields", "items(name)")])
        let response = try await client.ask(call, by: deadline)
        guard response.status == 200, let page = JSONText.decode(GCSNames.self, from: response.body) else {
            throw .failed("\(place(name)) was not read: \(client.failure(response))")
        }
        // The name itself comes before all that begin with it.
        return page.items?.first?.name == key(name)
    }

    /// - Returns: nil when the object is no longer the one that `item` tells of.
    func object(
        _ name: ObjectName, _ item: GCSItem, by deadline: ContinuousClock.Instant
    ) async throws(StoreError) -> StoredObject? {
        if let body = item.body {
            return StoredObject(name: name, version: ObjectVersion(item.generation), body: body)
        }
        let cannotBeRead = StoredObject(
            name: name, version: ObjectVersion(Self.unreadable + item.generation), body: [])
        guard let size = Int(item.size), size <= Self.bodyBytesMax else { return cannotBeRead }
        let call = GCSClient.Call(
            path: path(name), query: [("alt", "media"), ("generation", item.generation)],
            responseBytesMax: Self.bodyBytesMax)
        let response = try await client.ask(call, by: deadline)
        switch response.status {
        case 200:
            if let crc32c = item.crc32c, response.body.count == size, crc32c != CRC32C(of: response.body).base64 {
                throw .unclear("\(place(name)) was damaged on the way: its checksum is another. Ask again.")
            }
            return StoredObject(name: name, version: ObjectVersion(item.generation), body: response.body)
        case 404: return nil
        // Encrypted with a key that only its owner has, or with one of a key service that this caller may not use.
        case 400, 403: return cannotBeRead
        default: throw .unclear("\(place(name)) was not read: \(client.failure(response))")
        }
    }

    /// All items of a folder, in no order.
    ///
    /// Pages can be asked for only one after the other, and ten of them may take longer than a list has. What an earlier list,
    /// be it one that ran out of time, has learned of the names makes parts of which each takes one page.
    func items(
        _ folder: ObjectName.Folder, _ path: String, by deadline: ContinuousClock.Instant
    ) async throws(StoreError) -> [GCSItem] {
        let splits = splits.withLock { $0[folder] ?? [] }
        let parts = zip([nil] + splits, splits + [nil]).map { ListPart(from: $0, to: $1) }
        let results =
            parts.count == 1 ? [await items(parts[0], path, by: deadline)] : await items(parts, path, by: deadline)
        let failure = results.lazy.compactMap(\.failure).first
        let names = results.flatMap(\.items).map(\.name)
        self.splits.withLock { known in
            known[folder] =
                failure == nil
                ? Self.splits(names)
                : (splits + results.flatMap(\.pageEnds)).sorted {
                    $0.utf8.lexicographicallyPrecedes($1.utf8)
                }
        }
        if let failure { throw failure }
        return results.flatMap(\.items)
    }

    private func items(_ parts: [ListPart], _ path: String, by deadline: ContinuousClock.Instant) async -> [ListedPart]
    {
        await withTaskGroup(of: ListedPart.self) { group in
            var results: [ListedPart] = []
            for (index, part) in parts.enumerated() {
                if index >= Self.partsMax, let result = await group.next() { results.append(result) }
                // A store that is in trouble is not asked for more of what comes to nothing.
                if results.last?.failure != nil { break }
                group.addTask { [self] in await items(part, path, by: deadline) }
            }
            for await result in group { results.append(result) }
            return results
        }
    }

    /// Parts of a list that are read at once: more would take memory and bring little.
    private static let partsMax = 4
    private static let pageSize = 1000
    /// Objects of a part: some may be added before it takes two pages.
    private static let partSize = pageSize * 9 / 10

    /// What of a folder is listed by itself: the names from one, which is in it, to one, which is not; nil: all.
    private struct ListPart: Sendable {
        let from: String?
        let to: String?
    }

    private struct ListedPart: Sendable {
        var items: [GCSItem] = []
        /// The last names of pages that others follow, half a part apart at least.
        var pageEnds: [String] = []
        var failure: StoreError?
    }

    /// Where to split a list of these names; empty: it fits into one page.
    private static func splits(_ names: [String]) -> [String] {
        guard names.count > pageSize else { return [] }
        let names = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return stride(from: partSize, to: names.count, by: partSize).map { names[$0] }
    }

    private func items(_ part: ListPart, _ path: String, by deadline: ContinuousClock.Instant) async -> ListedPart {
        var listed = ListedPart()
        var token: String?
        var sinceEnd = 0
        do throws(StoreError) {
            repeat {
                let page = try await page(path, part, after: token, by: deadline)
                listed.items += page.items ?? []
                token = page.nextPageToken
                // The service may answer with short pages: as many parts would take longer than the list had.
                sinceEnd += page.items?.count ?? 0
                if token != nil, sinceEnd >= Self.partSize / 2, let last = page.items?.last {
                    listed.pageEnds.append(last.name)
                    sinceEnd = 0
                }
            } while token != nil
        } catch {
            listed.failure = error
        }
        return listed
    }

    private func page(
        _ path: String, _ part: ListPart, after token: String?, by deadline: ContinuousClock.Instant
    ) async throws(StoreError) -> GCSPage {
        var query = [
            ("prefix", path), ("delimiter", "/"), ("maxResults", "\(Self.pageSize)"),
            ("fields", "items(\(GCSItem.fields)),nextPageToken"),
        ]
        if let from = part.from { query.append(("startOffset", from)) }
        if let to = part.to { query.append(("endOffset", to)) }
        if let token { query.append(("pageToken", token)) }
        let call = GCSClient.Call(path: objectsPath, query: query, responseBytesMax: Self.listBytesMax)
        let response = try await client.ask(call, by: deadline)
        guard response.status == 200 else {
            throw .failed("gs://\(client.bucket)/\(path) was not listed: \(client.failure(response))")
        }
        guard let page = JSONText.decode(GCSPage.self, from: response.body),
            page.items?.allSatisfy({ Self.isGeneration($0.generation) }) ?? true
        else {
            throw .unclear(
                "gs://\(client.bucket)/\(path) was not listed: the answer can't be read as one of the service.")
        }
        return page
    }

    /// Reads the bodies that the list did not have.
    func readEach(
        _ items: [(ObjectName, GCSItem)], by deadline: ContinuousClock.Instant
    ) async throws(StoreError) -> [StoredObject] {
        guard !items.isEmpty else { return [] }
        let results = await withTaskGroup(of: Result<StoredObject?, StoreError>.self) { group in
            var results: [Result<StoredObject?, StoreError>] = []
            for (index, (name, item)) in items.enumerated() {
                if index >= Self.readsMax, let result = await group.next() { results.append(result) }
                group.addTask { [self] in
                    do throws(StoreError) {
                        // Replaced since it was listed: read as it is now.
                        if let object = try await object(name, item, by: deadline) { return .success(object) }
                        while let item = try await self.item(name, by: deadline) {
                            if let object = try await object(name, item, by: deadline) { return .success(object) }
                        }
                        return .success(nil)
                    } catch {
                        return .failure(error)
                    }
                }
            }
            for await result in group { results.append(result) }
            return results
        }
        var objects: [StoredObject] = []
        for result in results {
            if let object = try result.get() { objects.append(object) }
        }
        return objects
    }

    /// Whether there is any record under the prefix.
    func isUsed(by deadline: ContinuousClock.Instant) async throws(StoreError) -> Bool {
        let call = GCSClient.Call(
            path: objectsPath,
            query: [
                ("prefix", "\(prefix)\(ObjectName.Folder.members.rawValue)/"), ("maxResults", "1"),
                ("fields", "items(name)"),
            ])
        let response = try await client.ask(call, by: deadline)
        guard response.status == 200, let page = JSONText.decode(GCSNames.self, from: response.body) else {
            throw .failed("gs://\(client.bucket)/\(prefix) was not listed: \(client.failure(response))")
        }
        return page.items?.isEmpty == false
    }
}

/// A list of which only the names were asked for.
private struct GCSNames: Decodable {
    struct Item: Decodable {
        let name: String
    }
    let items: [Item]?
}
