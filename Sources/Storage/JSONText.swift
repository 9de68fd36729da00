private import FoundationEssentials

/// JSON by Foundation, with an error that is only nil: what came is no answer.
enum JSONText {
    /// - Parameter isSnakeCase: whether names in the text are `like_this`, which are `likeThis` here.
    static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8], isSnakeCase: Bool = false
    ) -> Value? {
        let decoder = JSONDecoder()
        if isSnakeCase { decoder.keyDecodingStrategy = .convertFromSnakeCase }
        return try? decoder.decode(type, from: Data(bytes))
    }

    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            // Only text and booleans are encoded here, for which there is always JSON.
            preconditionFailure("not encodable: \(error)")
        }
    }
}
