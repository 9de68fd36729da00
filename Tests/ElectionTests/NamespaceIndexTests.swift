import Election
import Testing

struct NamespaceIndexTests {
    @Test(arguments: [0, 1, 2, 3, 4, 5, 8, 100, 10_000]) func `every name has its slot, and no other has one`(
        count: Int
    ) {
        let names = (0..<count).map { "namespace-\($0)" }
        let index = NamespaceIndex(names)
        for (slot, name) in names.enumerated() { #expect(index.slot(of: name) == slot) }
        for miss in ["", "n", "namespace-", "namespace-\(count)", "Namespace-0", "namespace-0 ", "namespace-0\0"] {
            #expect(index.slot(of: miss) == nil)
        }
        for number in 0..<count { #expect(index.slot(of: "other-\(number)") == nil) }
    }

    @Test func `names are compared by bytes`() {
        // The same to a person and to `==`, yet other bytes.
        let index = NamespaceIndex(["e\u{301}"])
        #expect(index.slot(of: "\u{E9}") == nil)
        #expect(index.slot(of: "e\u{301}") == 0)
    }

    @Test func `the same name twice is a mistake of the caller`() async {
        await #expect(processExitsWith: .failure) { _ = NamespaceIndex(["a", "b", "a"]) }
    }

    @Test func `two are equal when their names are`() {
        #expect(NamespaceIndex(["a", "b"]) == NamespaceIndex(["a", "b"]))
        #expect(NamespaceIndex(["a", "b"]) != NamespaceIndex(["b", "a"]))
        #expect(Set([NamespaceIndex(["a"]), NamespaceIndex(["a"])]).count == 1)
    }
}
