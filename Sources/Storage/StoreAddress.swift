/// Which store to use, as `--store` names it: `file:///var/lib/leasehold`.
package struct StoreAddress: Sendable, CustomStringConvertible {
    /// Opens the store. The time is what each call may take; `creating`: whether to make what is missing of it.
    typealias Opener = @Sendable (_ timeout: Duration, _ creating: Bool) async throws(StoreError) -> any LeaseStore

    /// Adding a backend means one file and one line here: the scheme, its forms for messages, and what reads the rest.
    private static let backends: [Backend] = [
        ("file", "file:///DIRECTORY or file:DIRECTORY", FileStore.opener),
        ("memory", "memory: (this process only)", MemoryStore.opener),
    ]
    private typealias Backend = (
        scheme: String, forms: String, opener: @Sendable (Substring) throws(StoreAddressError) -> Opener
    )

    /// What an address may look like, for people.
    package static var forms: String { backends.map(\.forms).joined(separator: ", ") }

    package let description: String
    private let opener: Opener

    /// - Throws: ``StoreAddressError``, with one line for people.
    package init(_ text: String) throws(StoreAddressError) {
        let scheme = text.prefix { $0 != ":" }
        guard scheme.endIndex < text.endIndex, let backend = Self.backends.first(where: { $0.scheme == scheme }) else {
            throw StoreAddressError("\(text) is no known store: use \(Self.forms)")
        }
        do throws(StoreAddressError) {
            opener = try backend.opener(text[scheme.endIndex...].dropFirst())
        } catch {
            throw StoreAddressError("\(text) is no store: \(error.description) (\(backend.forms))")
        }
        description = text
    }

    /// Opens the store; each call opens a new one, which for `memory:` is an empty one.
    ///
    /// - Parameters:
    ///   - timeout: how long each call to the store may take.
    ///   - creating: whether to make what is missing of it; without that, a store that is not there is an error, where an
    ///     empty one would be a wrong answer.
    package func open(timeout: Duration, creating: Bool = true) async throws(StoreError) -> any LeaseStore {
        try await opener(timeout, creating)
    }
}

/// Why a text is no ``StoreAddress``, in one line.
package struct StoreAddressError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}
