/// What happened to an object, for `kubectl describe` (core/v1 `Event`).
package struct EventObject: APIObject, Hashable {
    package static let resource = APIResource(
        group: "", version: "v1", kind: "Event", plural: "events", isNamespaced: true)

    package struct Reference: Codable, Hashable, Sendable {
        package var apiVersion: String?
        package var kind: String?
        package var namespace: String?
        package var name: String?
        package var uid: String?
        package var resourceVersion: String?

        package init() {}
    }

    package struct Source: Codable, Hashable, Sendable {
        package var component: String?
        package var host: String?

        package init(component: String) { self.component = component }
    }

    package var metadata: ObjectMetadata
    package var involvedObject: Reference
    package var reason: String
    package var message: String
    /// `Normal` or `Warning`.
    package var type: String
    package var source: Source
    package var firstTimestamp: String
    package var lastTimestamp: String
    package var count: Int

    package init(
        metadata: ObjectMetadata, involvedObject: Reference, reason: String, message: String, type: String,
        source: Source, time: String
    ) {
        self.metadata = metadata
        self.involvedObject = involvedObject
        self.reason = reason
        self.message = message
        self.type = type
        self.source = source
        firstTimestamp = time
        lastTimestamp = time
        count = 1
    }
}
