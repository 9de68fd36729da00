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

    func page(
        _ path: String, after token: String?, by deadline: ContinuousClock.Instant
    ) async throws(StoreError) -> GCSPage {
        var query = [
            ("prefix", path), ("delimiter", "/"), ("maxResults", "1000"),
            ("fields", "items(\(GCSItem.fields)),nextPageToken"),
        ]
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
