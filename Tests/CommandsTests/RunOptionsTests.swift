import TLS
import Testing
import Webhook

@testable import Commands

struct RunOptionsTests {
    private func parse(_ arguments: String..., environment: [String: String] = [:]) throws -> RunOptions {
        let parser = FlagParser<RunOptions>(flags: RunOptions.groups.flatMap(\.flags))
        switch try parser.parse(
            ["--cluster=east", "--namespace=team-a"] + arguments, environment: environment)
        {
        case .help: throw UsageError("help")
        case .options(let options, _): return options
        }
    }

    @Test func `the defaults are the documented ones and go together`() throws {
        let options = try parse()
        try options.check([:])
        let timing = try options.election.checkedTiming()
        #expect(options.election.leaseSeconds == 15)
        #expect(timing.renewInterval == .seconds(3))
        #expect(timing.pollInterval == .seconds(3))
        #expect(timing.requestTimeout == .seconds(3))
        #expect(timing.grantDuration == .seconds(3))
        #expect(timing.commitMargin == .seconds(2))
        #expect(timing.relistInterval == .seconds(60))
        #expect(timing.rho == 10_000)
        #expect(options.webhook.bindAddress == SocketAddress(host: "", port: 10250))
        #expect(options.process.healthAddress == .at(SocketAddress(host: "", port: 8081)))
        #expect(options.process.metricsAddress == .at(SocketAddress(host: "", port: 8080)))
        #expect(options.webhook.limits.bodyBytesMax == 8 * 1024 * 1024)
        #expect(options.webhook.limits.connectionsMax == 10_000)
        #expect(options.webhook.limits.requestTimeout == .seconds(10))
        #expect(options.webhook.limits.idleTimeout == .seconds(120))
    }

    @Test func `the store's time-out follows a shorter renew interval by itself`() throws {
        #expect(try parse("--renew-interval=1s").election.checkedTiming().requestTimeout == .seconds(1))
        #expect(try parse("--renew-interval=4s").election.checkedTiming().requestTimeout == .seconds(3))
        #expect(try parse("--store-timeout=500ms").election.checkedTiming().requestTimeout == .milliseconds(500))
    }

    @Test(arguments: [
        ("0", ProcessOptions.SideAddress.off), (":80", .at(SocketAddress(host: "", port: 80))),
        ("127.0.0.1:0", .at(SocketAddress(host: "127.0.0.1", port: 0))),
        ("[::1]:8081", .at(SocketAddress(host: "::1", port: 8081))),
    ])
    func `the ports beside may be turned off`(text: String, address: ProcessOptions.SideAddress) {
        #expect(ValueType.sideAddress.parse(text) == address)
        #expect(ValueType.sideAddress.format(address) == text)
    }

    @Test(arguments: ["", ":", "80", ":65536", ":-1", "localhost:80", "::1:80", "1.2.3:80", "[::1]", "[1.2.3.4]:80"])
    func `refuses what is no address`(text: String) {
        #expect(ValueType.address.parse(text) == nil)
        #expect(ValueType.sideAddress.parse(text) == nil)
    }

    @Test(arguments: [
        ("webhook.example", SubjectName.dns("webhook.example")), ("*.example", .dns("*.example")),
        ("10.0.0.1", .ip("10.0.0.1")), ("0:0::1", .ip("::1")), ("2001:DB8::1", .ip("2001:db8::1")),
    ])
    func `reads names and addresses for certificates`(text: String, name: SubjectName) {
        #expect(ValueType.subjectName.parse(text) == name)
    }

    @Test(arguments: [
        "", "a b", "a..b", "-a", "a-", "*", "*.", "a.*", "ä", "a,DNS:b", String(repeating: "a", count: 64),
    ])
    func `refuses what is no name for a certificate`(text: String) {
        #expect(ValueType.subjectName.parse(text) == nil)
    }

    @Test func `what is excluded by default gives way to a namespace that is named, what is excluded by hand does not`()
        throws
    {
        let policy = try PolicyOptions().policy(electing: ["default"], systemNamespace: "system")
        #expect(!policy.excludedNamespaces.contains(try Pattern("default")))
        #expect(policy.excludedNamespaces.contains(try Pattern("kube-system")))
        let options = try parse("--exclude-namespace=infra-*", "--exclude-namespace=default")
        #expect(
            try options.policy.policy(electing: ["team-a"], systemNamespace: "system").excludedNamespaces.count == 2)
        #expect(throws: UsageError.self) { try options.policy.policy(electing: ["infra-1"], systemNamespace: "system") }
    }

    @Test func `Leasehold's own namespace is never guarded, whatever else is`() throws {
        let options = try parse("--exclude-namespace=infra")
        let policy = try options.policy.policy(electing: [], systemNamespace: "system")
        #expect(policy.excludedNamespaces == [try Pattern("infra"), try Pattern("system")])
    }

    @Test func `every flag of the guard reaches its policy`() throws {
        let options = try parse(
            "--mode=audit", "--guard-users", "--exempt-service-account=argocd/*", "--exempt-group=sre",
            "--exempt-user=root@*", "--cluster-identity=west=west-*", "--unmanaged-namespaces=deny",
            "--cluster-scoped=team-a")
        let policy = try options.policy.policy(electing: ["team-a"], systemNamespace: "system")
        #expect(policy.mode == .audit)
        #expect(policy.guardUsers)
        #expect(policy.exemptServiceAccounts.map(\.description) == ["system:serviceaccount:argocd:*"])
        #expect(policy.exemptGroups.map(\.description) == ["sre"])
        #expect(policy.exemptUsers.map(\.description) == ["root@*"])
        #expect(policy.clusterIdentities == [try Policy.ClusterIdentity("west=west-*")])
        #expect(policy.unmanagedNamespaces == .deny)
        #expect(policy.clusterScoped == .namespace("team-a"))
    }

    @Test func `the default store is one for all clusters of a user, and follows the state directory`() throws {
        let home = ["HOME": "/home/ann"]
        #expect(
            try parse().election.store.resolvedAddress(home).description
                == "file:/home/ann/.local/state/leasehold/store")
        #expect(
            try parse("--state-directory=/srv/state").election.store.resolvedAddress(home).description
                == "file:/srv/state/store")
        #expect(
            try parse("--store=file:///srv/leases").election.store.resolvedAddress(home).description
                == "file:///srv/leases")
        #expect(throws: UsageError.self) { try parse().election.store.resolvedAddress([:]) }
    }
}
