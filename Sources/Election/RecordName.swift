/// The objects that the protocol keeps in its store.
package enum RecordName: Hashable, Sendable, CustomStringConvertible {
    /// `members/<cluster>`
    case member(String)
    /// `leases/<namespace>`
    case lease(String)

    package enum Folder: String, Hashable, Sendable {
        case members
        case leases
    }

    /// `members/~notice`: rewritten after a hand-made change of a lease record, so that everybody lists the leases again.
    package static let notice = RecordName.member("~notice")

    package var folder: Folder {
        switch self {
        case .member: .members
        case .lease: .leases
        }
    }

    /// The name inside the folder.
    package var name: String {
        switch self {
        case .member(let name), .lease(let name): name
        }
    }

    package init(_ folder: Folder, _ name: String) {
        switch folder {
        case .members: self = .member(name)
        case .leases: self = .lease(name)
        }
    }

    package var description: String { "\(folder.rawValue)/\(name)" }

    /// Whether `name` can be a cluster's or a namespace's: 1 to 253 bytes of `a-z 0-9 - .`, beginning and ending with a
    /// letter or digit (RFC 1123 subdomain, without the rule for each label).
    package static func isValid(_ name: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) }
        guard let first = name.utf8.first, let last = name.utf8.last, name.utf8.count <= 253 else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && name.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
    }
}

/// What the store calls one state of one record. Compared for equality, never ordered; it never comes back.
package struct Version: Hashable, Sendable {
    package let rawValue: String

    package init(_ rawValue: String) {
        self.rawValue = rawValue
    }
}

/// One object as the store returned it.
package struct RecordObject: Hashable, Sendable {
    package let name: RecordName
    package let version: Version
    package let body: [UInt8]

    package init(name: RecordName, version: Version, body: [UInt8]) {
        self.name = name
        self.version = version
        self.body = body
    }
}
