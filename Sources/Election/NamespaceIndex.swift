/// Namespace names to consecutive slots: an immutable hash table that is searched by bytes, without allocation.
package final class NamespaceIndex: Hashable, Sendable {
    /// The names in slot order; no two alike.
    package let names: [String]
    /// Open addressing with linear probing, at most half full; -1: empty.
    private let table: [Int32]

    package init(_ names: [String]) {
        self.names = names
        var capacity = 8
        while capacity < names.count * 2 { capacity *= 2 }
        var table = [Int32](repeating: -1, count: capacity)
        for (slot, name) in names.enumerated() {
            var name = name
            var position = name.withUTF8 { unsafe Self.hash(UnsafeRawBufferPointer($0)) } & (capacity - 1)
            while table[position] >= 0 {
                precondition(names[Int(table[position])] != name, "namespace \(name) twice in one index")
                position = (position + 1) & (capacity - 1)
            }
            table[position] = Int32(slot)
        }
        self.table = table
    }

    /// The slot of the namespace with this UTF-8 name.
    package func slot(of name: UnsafeRawBufferPointer) -> Int? {
        let mask = table.count - 1
        var position = unsafe Self.hash(name) & mask
        while table[position] >= 0 {
            let slot = Int(table[position])
            if unsafe names[slot].hasBytes(name) { return slot }
            position = (position + 1) & mask
        }
        return nil
    }

    package func slot(of name: String) -> Int? {
        var name = name
        return name.withUTF8 { unsafe slot(of: UnsafeRawBufferPointer($0)) }
    }

    package static func == (one: NamespaceIndex, other: NamespaceIndex) -> Bool {
        one === other || one.names == other.names
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(names) }

    // Keyed per process (SipHash), so that nobody can choose names that collide.
    private static func hash(_ name: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        unsafe hasher.combine(bytes: name)
        return hasher.finalize() & .max
    }
}

extension String {
    /// Whether the UTF-8 of this string is `bytes`, without allocation.
    fileprivate func hasBytes(_ bytes: UnsafeRawBufferPointer) -> Bool {
        unsafe utf8.count == bytes.count && zip(utf8, bytes).allSatisfy { $0 == $1 }
    }
}
