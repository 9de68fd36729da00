import Testing

@testable import Commands

struct FlagParserTests {
    struct Options: FlagOptions {
        var name = ""
        var wait = Duration.seconds(3)
        var count: Int?
        var tags: [String] = ["a"]
        var loud = false
    }

    static var parser: FlagParser<Options> {
        FlagParser(flags: [
            Flag("name", \.name, .name("NAME"), "A name.", required: true),
            Flag("long-wait", \.wait, .duration(.seconds(1)...(.seconds(60))), "A wait."),
            Flag("count", \.count, .integer(1...9), "A number."),
            Flag("tag", each: \.tags, .name("TAG"), "Tags."),
            Flag(switch: "loud", \.loud, "Loud."),
        ])
    }

    private func parse(
        _ arguments: String..., environment: [String: String] = [:]
    ) throws -> (options: Options, operands: [String]) {
        switch try Self.parser.parse(arguments, environment: environment) {
        case .help: throw UsageError("help")
        case .options(let options, let operands): (options, operands)
        }
    }

    private func refusal(_ arguments: [String], environment: [String: String] = [:]) -> String? {
        do {
            _ = try Self.parser.parse(arguments, environment: environment)
            return nil
        } catch {
            return error.message
        }
    }

    @Test func `takes values behind a space or an equals sign`() throws {
        let options = try parse("--name", "x", "--long-wait=5s", "--count", "7", "--loud").options
        #expect(options.name == "x")
        #expect(options.wait == .seconds(5))
        #expect(options.count == 7)
        #expect(options.loud)
    }

    @Test func `keeps the defaults of what is not given`() throws {
        let options = try parse("--name=x").options
        #expect(options.wait == .seconds(3))
        #expect(options.count == nil)
        #expect(options.tags == ["a"])
        #expect(!options.loud)
    }

    @Test func `replaces the default list by what is given, in order`() throws {
        #expect(try parse("--name=x", "--tag", "c", "--tag=b").options.tags == ["c", "b"])
    }

    @Test func `takes the last of several values`() throws {
        #expect(try parse("--name=x", "--count=1", "--count=2").options.count == 2)
    }

    @Test func `refuses a wrong value even when a later one counts`() {
        #expect(refusal(["--name=x", "--count=0", "--count=2"])?.contains("--count got \"0\"") == true)
    }

    @Test func `takes operands between flags, a lone dash, and all behind two dashes`() throws {
        #expect(try parse("one", "--name", "x", "-", "--", "--count", "--").operands == ["one", "-", "--count", "--"])
    }

    @Test func `does not take the next argument as a switch's value`() throws {
        let (options, operands) = try parse("--name=x", "--loud", "false")
        #expect(options.loud)
        #expect(operands == ["false"])
        #expect(try !parse("--name=x", "--loud=false").options.loud)
    }

    @Test func `lets flags win over the environment, and the environment over defaults`() throws {
        let environment = [
            "LEASEHOLD_NAME": "e", "LEASEHOLD_LONG_WAIT": "7s", "LEASEHOLD_TAG": "x,y", "LEASEHOLD_LOUD": "true",
        ]
        var options = try parse(environment: environment).options
        #expect(options.name == "e")
        #expect(options.wait == .seconds(7))
        #expect(options.tags == ["x", "y"])
        #expect(options.loud)
        options = try parse("--name=f", "--long-wait=8s", "--tag=z", "--loud=false", environment: environment).options
        #expect(options.name == "f")
        #expect(options.wait == .seconds(8))
        #expect(options.tags == ["z"])
        #expect(!options.loud)
    }

    @Test func `does not read a variable whose flag is given`() throws {
        #expect(try parse("--name=x", "--count=1", environment: ["LEASEHOLD_COUNT": "bad"]).options.count == 1)
    }

    @Test func `takes an empty variable as not set`() throws {
        #expect(try parse("--name=x", environment: ["LEASEHOLD_COUNT": ""]).options.count == nil)
    }

    @Test(arguments: [("x, y", ["x", "y"]), (" x ,,y", ["x", "y"]), (" , ", ["a"]), ("", ["a"])])
    func `leaves out what surrounds the values of a list`(text: String, tags: [String]) throws {
        #expect(try parse("--name=x", environment: ["LEASEHOLD_TAG": text]).options.tags == tags)
    }

    @Test func `tells of variables that no command has a flag for`() {
        let environment = [
            "LEASEHOLD_GUARD_USER": "true", "LEASEHOLD_CLUSTER": "east", "LEASEHOLD_TO": "west", "PATH": "",
            "LEASEHOLD_9443": "::1",
        ]
        #expect(
            Program.unknownVariables(in: environment) == [
                "LEASEHOLD_9443 is set, and no flag has this variable: it has no effect",
                "LEASEHOLD_GUARD_USER is set, and no flag has this variable; is it meant to be LEASEHOLD_GUARD_USERS?",
            ])
    }

    @Test(arguments: [["--help"], ["-h"], ["--name", "x", "--help"], ["op", "-h"]])
    func `asks for help wherever the flag stands`(arguments: [String]) throws {
        guard case .help = try Self.parser.parse(arguments, environment: [:]) else {
            Issue.record("not help")
            return
        }
    }

    @Test(arguments: [
        (["--name=x", "--count", "10"], "--count got \"10\"; allowed: a whole number from 1 to 9"),
        (["--name=x", "--count="], "--count got \"\"; allowed: a whole number from 1 to 9"),
        (["--name=x", "--count"], "--count got no value; allowed: a whole number from 1 to 9"),
        (["--name=x", "--count", "--loud"], "--count got no value; allowed: a whole number from 1 to 9"),
        (["--name=x", "--loud=yes"], "--loud got \"yes\"; allowed: true or false"),
        (["--name=x", "--cuont=1"], "unknown flag \"--cuont\"; did you mean --count?"),
        (["--name=x", "--verbose"], "unknown flag \"--verbose\"; --help lists the flags that are allowed"),
        (["--name=x", "-count=1"], "unknown flag \"-count\"; did you mean --count?"),
        (["--name=x", "--tag=a", "--tag=B\n"], "--tag got \"B\\n\"; allowed: \(ValueType.name("").allowed)"),
        ([], "--name got nothing and has no default; allowed: \(ValueType.name("").allowed)"),
    ])
    func `says in one line what was given and what is allowed`(arguments: [String], message: String) {
        #expect(refusal(arguments) == message)
    }

    @Test func `names the variable that is wrong`() {
        #expect(
            refusal(["--name=x"], environment: ["LEASEHOLD_LONG_WAIT": "2h"])
                == "LEASEHOLD_LONG_WAIT (for --long-wait) got \"2h\"; allowed: a duration from 1s to 1m, such as 500ms, "
                + "15s, 2m or plain seconds")
    }
}

/// One flag of one command, for claims about all of them.
struct AnyFlag: CustomTestStringConvertible, Sendable {
    let command: String
    let operands: [String]
    /// Flags that the command cannot do without, with values.
    let required: [String]
    let name: String
    let variable: String
    let isSwitch: Bool
    let allowed: String

    var testDescription: String { "\(command) --\(name)" }

    /// A value that is allowed.
    private static func sample<Options>(of flag: Flag<Options>) -> String {
        flag.placeholder == "HOST:PORT" ? "x:1" : "x"
    }

    static var all: [AnyFlag] { Program.commands.flatMap { flags(of: $0) } }

    private static func flags<C: Command>(of command: C.Type) -> [AnyFlag] {
        let flags = C.flags.flatMap(\.flags)
        return flags.map { flag in
            AnyFlag(
                command: C.name, operands: C.operands.filter { !$0.hasPrefix("[") }.map { _ in "operand" },
                required: flags.filter { $0.isRequired && $0.name != flag.name }.map {
                    "--\($0.name)=\(sample(of: $0))"
                },
                name: flag.name, variable: flag.variable, isSwitch: flag.placeholder == nil, allowed: flag.allowed)
        }
    }
}

struct AllFlagsTests {
    @Test func `every name is a long one, and used once in its command`() {
        for command in Set(AnyFlag.all.map(\.command)) {
            let names = AnyFlag.all.filter { $0.command == command }.map(\.name)
            #expect(Set(names).count == names.count)
            for name in names { #expect(name.wholeMatch(of: /[a-z]+(-[a-z]+)*/) != nil) }
        }
    }

    @Test(arguments: AnyFlag.all)
    func `a missing value ends with code 2 and one line`(flag: AnyFlag) async throws {
        try #require(!flag.isSwitch || flag.allowed == "true or false")
        let given = flag.isSwitch ? "--\(flag.name)=" : "--\(flag.name)"
        await expectRefusal(flag, [given])
    }

    @Test(arguments: AnyFlag.all)
    func `a value that is not allowed ends with code 2 and one line`(flag: AnyFlag) async {
        // No flag takes an empty value.
        await expectRefusal(flag, ["--\(flag.name)="])
    }

    private func expectRefusal(_ flag: AnyFlag, _ given: [String]) async {
        let console = TestConsole()
        let code = await Program.run(
            [flag.command] + flag.operands + flag.required + given, console: console.console())
        #expect(code == 2)
        #expect(console.out.isEmpty)
        #expect(console.err.hasPrefix("leasehold \(flag.command): --\(flag.name) got "))
        #expect(console.err.hasSuffix("; allowed: \(flag.allowed)\n"))
        #expect(console.err.split(separator: "\n").count == 1)
    }

    @Test(arguments: AnyFlag.all.filter { !free.contains($0.name) })
    func `a variable that is wrong ends with code 2 and names itself`(flag: AnyFlag) async {
        let console = TestConsole()
        let code = await Program.run(
            [flag.command] + flag.operands + flag.required,
            console: console.console(environment: [flag.variable: "\u{1}*?"]))
        #expect(code == 2)
        #expect(console.err.hasPrefix("leasehold \(flag.command): \(flag.variable) (for --\(flag.name)) got "))
        #expect(console.err.split(separator: "\n").count == 1)
    }

    /// Flags that take any text.
    private static let free = [
        "state-directory", "tls-certificate", "tls-key", "client-ca", "kubeconfig", "context", "grants-ca-file",
        "grants-cert-file", "grants-key-file",
    ]
}

struct HelpTests {
    @Test(arguments: Program.commands.map { $0.name })
    func `every command's help names each flag with its default and fits 80 columns`(name: String) async {
        for width in [80, 100] {
            let console = TestConsole()
            #expect(await Program.run([name, "--help"], console: console.console(width: width)) == 0)
            #expect(console.err.isEmpty)
            #expect(console.out.hasPrefix("leasehold \(name): "))
            for flag in AnyFlag.all where flag.command == name { #expect(console.out.contains("  --\(flag.name)")) }
            for line in console.out.split(separator: "\n") { #expect(line.count <= width, "\(line)") }
        }
    }

    @Test func `help is the same by all its names`() async {
        let help = await leasehold("--help").out
        #expect(await leasehold("help").out == help)
        #expect(await leasehold("-h").out == help)
        for command in Program.commands { #expect(help.contains("\n  \(command.name) ")) }
        #expect(await leasehold("help", "status").out == leasehold("status", "--help").out)
    }

    @Test func `the reference names every flag, its variable and every exit code`() async {
        let reference = await leasehold("help", "--output", "markdown").out
        for flag in AnyFlag.all {
            #expect(reference.contains("| `--\(flag.name)"))
            #expect(reference.contains("`\(flag.variable)`"))
        }
    }

    @Test func `explains each exit code once`() async {
        for command in Program.commands {
            let help = await leasehold(command.name, "--help").out
            let codes = help[help.firstRange(of: "\nExit codes\n")!.upperBound...].split(separator: "\n")
                .filter { $0.dropFirst(2).first?.isNumber == true }.map { String($0.dropFirst(2).prefix(1)) }
            #expect(codes.starts(with: ["0", "1", "2"]))
            #expect(Set(codes).count == codes.count)
        }
    }

    @Test func `says which defaults and ranges hold`() async {
        let help = await leasehold("transfer", "--help").out
        #expect(help.contains("(100ms to 1h; default\n") || help.contains("(100ms to 1h; default 30s)"))
    }
}

struct ProgramTests {
    @Test(arguments: [
        ([], "leasehold: name a command: \(Program.commandNames); leasehold --help explains them\n"),
        (["statsu"], "leasehold: unknown command \"statsu\"; did you mean status?\n"),
        (["frobnicate"], "leasehold: unknown command \"frobnicate\"; allowed: \(Program.commandNames)\n"),
        (["version", "x"], "leasehold version: got \"x\" as well; allowed: flags only\n"),
        (
            ["check"],
            "leasehold check: --cluster got nothing and has no default; allowed: \(ValueType.name("").allowed)\n"
        ),
        (["drain"], "leasehold drain: got no CLUSTER; allowed: leasehold drain CLUSTER [flags]\n"),
        (["drain", "a", "b"], "leasehold drain: got \"b\" as well; allowed: CLUSTER and flags\n"),
        (["drain", "a", "--to=a"], "leasehold drain: --to got a, the cluster to drain; allowed: another one\n"),
        (
            ["transfer", "--to=a"],
            "leasehold transfer: got no namespace; allowed: one of NAMESPACE..., --selector and --all\n"
        ),
        (
            ["transfer", "a", "b", "--all", "--to=a"],
            "leasehold transfer: got namespaces in 2 ways; allowed: one of NAMESPACE..., --selector and --all\n"
        ),
        (["completion", "tcsh"], "leasehold completion: SHELL got \"tcsh\"; allowed: one of bash, zsh, fish\n"),
        (
            ["doctor"],
            "leasehold doctor: got neither a store nor an API server to try; allowed: --lease-storage-bucket or --store, "
                + "--kubeconfig or --context, or both\n"
        ),
        (["help", "nothing"], "leasehold help: unknown command \"nothing\"; allowed: \(Program.commandNames)\n"),
        (["transfer", "a"], "leasehold transfer: --to got nothing; allowed: --to CLUSTER, or --clear\n"),
        (
            ["transfer", "a", "--to", "b", "--clear"],
            "leasehold transfer: --clear and --to b were both given; allowed: one of them\n"
        ),
        (
            ["transfer", "A", "--clear"],
            "leasehold transfer: NAMESPACE got \"A\"; allowed: \(ValueType.name("").allowed)\n"
        ),
    ])
    func `a command line that cannot be followed gets one line and code 2`(arguments: [String], line: String) async {
        let console = TestConsole()
        #expect(await Program.run(arguments, console: console.console()) == 2)
        #expect(console.err == line)
        #expect(console.out.isEmpty)
    }

    @Test func `the version tells that of the OpenSSL that runs`() async {
        let text = await leasehold("version")
        #expect(text.code == 0)
        #expect(text.out.hasPrefix("leasehold \(Program.version)\nOpenSSL 3"))
        #expect(await leasehold("--version").out == text.out)
        #expect(await leasehold("version", "--output=json").out.hasPrefix("{\"version\":\"\(Program.version)\","))
    }
}
