import Storage
import Testing

@Suite struct ObjectNameTests {
    @Test(arguments: ["a", "0", "team-a", "a.b", "-", "~notice", "~a", String(repeating: "a", count: 253)])
    func `a name that a store keeps is accepted`(name: String) throws {
        let object = try #require(ObjectName(.leases, name))
        #expect(object.name == name)
        #expect(object.description == "leases/\(name)")
    }

    @Test(arguments: [
        "", ".", "..", ".new", "../leases/a", "a/b", "/a", "A", "a_b", "a b", "a\0", "a\n", "é", "~", "~~a", "a~",
        "~.", "~../a", "%2e", String(repeating: "a", count: 254), "~" + String(repeating: "a", count: 253),
    ])
    func `a name that could leave its folder or not be kept is refused`(name: String) {
        #expect(ObjectName(.leases, name) == nil)
    }

    @Test func `only names with a tilde are reserved`() {
        #expect(ObjectName.notice.isReserved)
        #expect(ObjectName.probe.isReserved)
        #expect(ObjectName(.members, "probe")?.isReserved == false)
        #expect(ObjectName(.members, "~notice") == .notice)
        #expect(ObjectName(.members, "~probe") == .probe)
    }
}
