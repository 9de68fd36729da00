package import Election

/// What the simulation drives: events and clock readings in, store requests and a table out.
///
/// The ``Elector``, and the simpler schemes that it is compared with.
package protocol Participant: Sendable {
    mutating func handle(_ event: Event, at now: Reading) -> Output
    /// How many incarnations of this process took over from a live one.
    var takeovers: Int { get }
}

extension Elector: Participant {}
