/// Where the records of an election are kept: small objects by name, each with a version.
///
/// The contract, on which the exclusion promise rests; every backend passes `LeaseStoreContract` in the tests:
/// - **Linearizable per object.** A read that starts after a write was acknowledged sees that write or a later one.
/// - **Compare-and-swap.** ``write(_:_:replacing:)`` takes effect only while the object has the given version.
/// - **A version never comes back**, not even after the object was deleted and made again, and no two writes give
///   the same one, not even of the same bytes.
/// - **What can't be read is never hidden.** An object that is there but can't be read (no permission, damaged, too
///   large) comes back with an empty body and a version of its own, and ``write(_:_:replacing:)`` refuses to replace
///   it, with ``StoreError/failed(_:)``.
/// - **No hidden retries** of writes: one call sends one write.
/// - **Every call ends** within the time-out that the store was made with, also when nothing answers.
///
/// Any thread may call it. Calls may overlap.
package protocol LeaseStore: Sendable {
    /// Reads one object, uncached.
    ///
    /// - Returns: the object, or nil when there is none.
    /// - Throws: ``StoreError/failed(_:)`` or ``StoreError/unclear(_:)``; for a read, both mean "not known".
    func read(_ name: ObjectName) async throws(StoreError) -> StoredObject?

    /// Writes one object by compare-and-swap.
    ///
    /// - Parameter replacing: the version that the object must still have; nil: the object must not exist.
    /// - Returns: the new version.
    /// - Throws: each case of ``StoreError``; they differ in whether the write may have taken effect.
    func write(_ name: ObjectName, _ body: [UInt8], replacing version: ObjectVersion?) async throws(StoreError)
        -> ObjectVersion

    /// Reads all objects of a folder, in the byte order of their names.
    ///
    /// Objects may be read at different moments between call and return; each one as if by ``read(_:)``.
    func list(_ folder: ObjectName.Folder) async throws(StoreError) -> [StoredObject]

    /// Hints that `members/~notice` may have been rewritten, where the store can tell without a request; else nil.
    ///
    /// Only speed depends on it: a hint may be missing, late or without a cause. Hints that nobody took yet are one.
    func notices() -> AsyncStream<Void>?

    /// The time after a write of an object within which the store may refuse the next one of the same object.
    var rewriteInterval: Duration { get }
}

extension LeaseStore {
    package var rewriteInterval: Duration { .zero }
}

/// What the store calls one state of one object: a GCS generation, an S3 ETag, a counter. Compared, never ordered.
package struct ObjectVersion: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: String

    package init(_ rawValue: String) {
        self.rawValue = rawValue
    }

    package var description: String { rawValue }
}

package struct StoredObject: Hashable, Sendable {
    package let name: ObjectName
    package let version: ObjectVersion
    package let body: [UInt8]

    package init(name: ObjectName, version: ObjectVersion, body: [UInt8]) {
        self.name = name
        self.version = version
        self.body = body
    }
}

/// The three ways a store call fails, which no caller may mix up.
package enum StoreError: Error, Hashable, Sendable {
    /// The object has another version: this write did not take effect (unless an earlier send of it did).
    case conflict
    /// The store answered, or was never reached, and nothing took effect. The text says what was tried and what to do.
    case failed(String)
    /// No answer that can be trusted: a write may have taken effect, or may still.
    case unclear(String)
}
