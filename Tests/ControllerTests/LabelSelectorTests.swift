import Testing

@testable import Controller

struct LabelSelectorTests {
    @Test(
        arguments: [
            ("", [:], true),
            ("tier=prod", ["tier": "prod"], true),
            ("tier==prod", ["tier": "prod"], true),
            ("tier = prod", ["tier": "test"], false),
            ("tier=prod", [:], false),
            ("tier=", ["tier": ""], true),
            ("tier!=prod", ["tier": "prod"], false),
            ("tier!=prod", ["tier": "test"], true),
            ("tier!=prod", [:], true),
            ("tier", ["tier": ""], true),
            ("tier", [:], false),
            ("!tier", [:], true),
            ("! tier", ["tier": "x"], false),
            ("team in (a, b)", ["team": "b"], true),
            ("team in (a,b)", ["team": "c"], false),
            ("team in (a)", [:], false),
            ("team notin (a,b)", ["team": "a"], false),
            ("team notin (a,b)", [:], true),
            ("team in (a,b),tier=prod,!legacy", ["team": "a", "tier": "prod"], true),
            ("team in (a,b),tier=prod,!legacy", ["team": "a", "tier": "prod", "legacy": "1"], false),
            ("example.com/team=a", ["example.com/team": "a"], true),
        ] as [(String, [String: String], Bool)])
    func `a selector chooses as kubectl does`(text: String, labels: [String: String], isMeant: Bool) throws {
        #expect(try #require(LabelSelector(text)).matches(labels) == isMeant)
    }

    @Test(arguments: [
        "=prod", "tier=prod,", "a b", "team in a,b", "team in", "in (a)", "team among (a)", "tier=a=b", "tier>3", "/x",
        "x/", "tier=pr od", "team in (a", "!",
    ])
    func `what is no selector is refused`(text: String) {
        #expect(LabelSelector(text) == nil)
    }
}
