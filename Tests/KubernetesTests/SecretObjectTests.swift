import FoundationEssentials
import Testing

@testable import Kubernetes

struct SecretObjectTests {
    private static let stored =
        #"{"metadata":{"name":"tls","namespace":"system","resourceVersion":"7","labels":{"a":"1"},"#
        + #""annotations":{"keep":"1","drop":"1"}},"type":"kubernetes.io/tls","data":{"tls.key":"AP8=","ca.crt":"Y2E="}}"#

    private func read(_ text: String = stored) throws -> SecretObject {
        try JSONDecoder().decode(SecretObject.self, from: Data(text.utf8))
    }

    @Test func `its values are bytes here and base64 there`() throws {
        let secret = try read()
        #expect(secret.data == ["tls.key": [0x00, 0xFF], "ca.crt": Array("ca".utf8)])
        #expect(secret.type == "kubernetes.io/tls")
        let written = JSONValue.object(
            ["tls.key": .string("AP8="), "ca.crt": .string("Y2E=")])
        let text = try JSONDecoder().decode([String: JSONValue].self, from: JSONEncoder().encode(secret))
        #expect(text["data"] == written)
        #expect(try read(#"{"metadata":{"name":"empty"}}"#).data.isEmpty)
    }

    @Test func `a change names only what differs, and the version that it is of`() throws {
        let old = try read()
        #expect(old.changed(from: old) == nil)
        var new = old
        new.data["tls.key"] = [1]
        new.data["ca.crt"] = nil
        new.data["new"] = [2]
        new.metadata.annotations?["drop"] = nil
        new.metadata.labels?["b"] = "2"
        let patch = try #require(new.changed(from: old))
        let expected = #"""
            {"metadata":{"resourceVersion":"7","labels":{"b":"2"},"annotations":{"drop":null}},
             "data":{"tls.key":"AQ==","ca.crt":null,"new":"Ag=="}}
            """#
        let decoder = JSONDecoder()
        #expect(
            try decoder.decode(JSONValue.self, from: Data(patch))
                == decoder.decode(JSONValue.self, from: Data(expected.utf8)))
    }

    @Test func `what it is printed as shows no value`() throws {
        #expect("\(try read())" == "Secret system/tls with ca.crt, tls.key")
    }
}
