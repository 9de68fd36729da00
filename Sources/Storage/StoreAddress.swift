/// Which store to use, as `--store` names it: `file:///var/lib/leasehold`.
package struct StoreAddress: Sendable, CustomStringConvertible {
    /// Opens the store. The time is what each call may take; `creating`: whether to make what is missing of it.
    typealias Opener =
        @Sendable (_ timeout: Duration, _ creating: Bool, _ access: StoreAccess) async throws(StoreError)
        -> any LeaseStore

    /// Adding a backend means one file and one line here: the scheme, its forms for messages, how often an object may be
    /// rewritten, and what reads the rest.
    private static let backends: [Backend] = [
        ("gs", "gs://BUCKET or gs://BUCKET/PREFIX", GCSStore.renewIntervalMin, GCSStore.opener),
        ("file", "file:///DIRECTORY or file:DIRECTORY", .zero, FileStore.opener),
        ("memory", "memory: (this process only)", .zero, MemoryStore.opener),
    ]
    private typealias Backend = (
        scheme: String, forms: String, renewIntervalMin: Duration,
        opener: @Sendable (Substring) throws(StoreAddressError) -> Opener
    )

    /// What an address may look like, for people.
    package static var forms: String { backends.map(\.forms).joined(separator: ", ") }

    package let description: String
    /// The shortest renew interval that the store takes; zero: any.
    package let renewIntervalMin: Duration
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
        renewIntervalMin = backend.renewIntervalMin
        description = text
    }

    /// Opens the store; each call opens a new one, which for `memory:` is an empty one.
    ///
    /// - Parameters:
    ///   - timeout: how long each call to the store may take.
    ///   - creating: whether to make what is missing of it; without that, a store that is not there is an error, where an
    ///     empty one would be a wrong answer.
    ///   - access: what a store that is not on this machine needs.
    package func open(
        timeout: Duration, creating: Bool = true, access: StoreAccess = StoreAccess()
    ) async throws(StoreError) -> any LeaseStore {
        try await opener(timeout, creating, access)
    }
}

/// Why a text is no ``StoreAddress``, in one line.
package struct StoreAddressError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}
