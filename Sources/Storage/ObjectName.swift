/// An object's place: a folder and a name in it, written `members/east`.
///
/// The one place where names are checked: whatever a flag, a record or a directory says, no name leaves its folder.
package struct ObjectName: Hashable, Sendable, CustomStringConvertible {
    package enum Folder: String, Hashable, Sendable, CaseIterable {
        case members
        case leases
    }

    package let folder: Folder
    /// 1 to 253 bytes of `a-z 0-9 - .`, not starting with a dot; after a `~` for objects that are no records.
    package let name: String

    /// - Returns: nil when `name` is none that a store keeps.
    package init?(_ folder: Folder, _ name: String) {
        let bytes = name.utf8
        let plain = name.hasPrefix("~") ? bytes.dropFirst() : bytes[...]
        // 253 is the longest name in Kubernetes (RFC 1123 subdomain), and file systems allow 255.
        guard bytes.count <= 253, let first = plain.first, first != UInt8(ascii: ".") else { return nil }
        let allowed = plain.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "-"), UInt8(ascii: "."): true
            default: false
            }
        }
        guard allowed else { return nil }
        self.folder = folder
        self.name = name
    }

    private init(known folder: Folder, _ name: String) {
        self.folder = folder
        self.name = name
    }

    /// Rewritten to make every cluster list the leases again; see ``LeaseStore/notices()``.
    package static let notice = ObjectName(known: .members, "~notice")
    /// Rewritten by ``LeaseStore/probe()`` at every start.
    package static let probe = ObjectName(known: .members, "~probe")

    /// Whether this is no member and no lease, whatever its body says.
    package var isReserved: Bool { name.hasPrefix("~") }

    package var description: String { "\(folder.rawValue)/\(name)" }
}
