/// The fields of an AdmissionReview's `request` on which decisions and messages rest (k8s.io/api/admission/v1, types.go).
///
/// Lives in its ``AdmissionScanner``; see ``Text`` for how long the values are valid.
package struct AdmissionRequest {
    /// A `GroupVersionKind` or a `GroupVersionResource`.
    package struct GroupVersionName {
        package internal(set) var group = Text()
        package internal(set) var version = Text()
        package internal(set) var name = Text()
    }

    /// Groups of a user. API servers set no bound; identity providers do, far below this.
    package static let groupsMax = 10_000
    /// Bytes of each value that answers repeat. A name in the API has at most 253 (RFC 1123).
    package static let repeatedBytesMax = 1024
    /// Groups for which memory is kept.
    private static let groupsKept = 1024

    package internal(set) var uid = Text()
    package internal(set) var kind = GroupVersionName()
    package internal(set) var resource = GroupVersionName()
    package internal(set) var subResource = Text()
    /// Empty for a cluster-scoped resource. For a Namespace object, the API server puts its own name here.
    package internal(set) var namespace = Text()
    /// Empty when the API server generates it, and for the deletion of a collection.
    package internal(set) var name = Text()
    package internal(set) var operation = Text()
    package internal(set) var dryRun = false
    package internal(set) var username = Text()
    package internal(set) var groups: [Text] = []

    /// Back to no request, keeping the memory.
    mutating func reset() {
        var groups: [Text] = []
        swap(&groups, &self.groups)
        groups.removeAll(keepingCapacity: groups.capacity <= Self.groupsKept)
        self = AdmissionRequest()
        swap(&groups, &self.groups)
    }

    /// Whether an answer would repeat more of this request than ``repeatedBytesMax`` allows.
    var repeatsTooMuch: Bool {
        max(uid.count, namespace.count, resource.name.count) > Self.repeatedBytesMax
    }

    mutating func forEachText(_ body: (inout Text) throws(ScanError) -> Void) throws(ScanError) {
        try body(&uid)
        try body(&kind.group)
        try body(&kind.version)
        try body(&kind.name)
        try body(&resource.group)
        try body(&resource.version)
        try body(&resource.name)
        try body(&subResource)
        try body(&namespace)
        try body(&name)
        try body(&operation)
        try body(&username)
        for index in groups.indices { try body(&groups[index]) }
    }
}
