import Election
import Testing

@testable import Commands

struct GrantQuestionTests {
    private func read(_ query: String) -> GrantQuestion? { GrantQuestion(query: Array(query.utf8).span) }

    @Test func `a question reads back as it was written`() {
        for known in [nil, TableMark(incarnation: "42BAA616-94cd", revision: .max)] {
            let question = GrantQuestion(known: known)
            #expect(read(String(question.suffix.dropFirst())) == question)
        }
    }

    @Test(arguments: ["a&revision=1", "", "a/b", "ä", String(repeating: "a", count: 65)])
    func `a mark that a URL cannot carry is not named`(incarnation: String) {
        #expect(GrantQuestion(known: TableMark(incarnation: incarnation, revision: 1)).suffix.isEmpty)
    }

    @Test(arguments: [
        "x", "incarnation=a", "revision=1", "revision=1&incarnation=a", "incarnation=&revision=1",
        "incarnation=a&revision=", "incarnation=a&revision=-1", "incarnation=a&revision=18446744073709551616",
        "incarnation=a&revision=1&", "incarnation=a%20b&revision=1",
    ])
    func `anything else is no question`(query: String) {
        #expect(read(query) == nil)
    }
}
