import FoundationEssentials
import Glibc
import Support
import Testing

/// That the clusters of the other tests are what they are taken for.
@Suite(.serialized) struct ControlPlaneTests {
    @Test func `two clusters start side by side, each with rights by role and tokens of its own`() async throws {
        async let first = ControlPlane.start("east")
        async let second = ControlPlane.start("west")
        let (east, west) = try await (first, second)
        #expect(east.url != west.url)

        try await east.run("create", "namespace", "team-a")
        let operatorOfEast = try await east.serviceAccount("operator", in: "team-a")
        let refused = try await east.kubectl("get", "configmaps", as: operatorOfEast)
        #expect(refused.code == 1)
        #expect(refused.err.contains(#""system:serviceaccount:team-a:operator" cannot list resource "configmaps""#))

        try await east.run(
            "create", "role", "operator", "--verb=create,get,list", "--resource=configmaps", "--namespace", "team-a")
        try await east.run(
            "create", "rolebinding", "operator", "--role=operator", "--serviceaccount=team-a:operator", "--namespace",
            "team-a")
        try await eventually("the role is in force") {
            try await east.kubectl("create", "configmap", "one", as: operatorOfEast).code == 0
        }
        #expect(try await east.kubectl("get", "configmaps", "-n", "default", as: operatorOfEast).code == 1)

        #expect(try await west.kubectl("get", "namespace", "team-a").err.contains("not found"))
        let stranger = try await east.kubectl("get", "--raw", "/api", "--server=\(west.url)", as: operatorOfEast)
        #expect(stranger.err.contains("x509: certificate signed by unknown authority"))
        var info = Glibc.stat()
        #expect(unsafe stat(operatorOfEast, &info) == 0 && info.st_mode & 0o777 == 0o600)

        let writes = try await east.requestCounts().filter {
            $0.isWrite && $0.resource == "configmaps" && $0.code == "201"
        }
        #expect(writes.map(\.count) == [1])
    }

    @Test func `an API server that was killed or frozen comes back where it was, with what it had`() async throws {
        let cluster = try await ControlPlane.start("east")
        try await cluster.run("create", "namespace", "team-a")

        await cluster.killServer()
        let refused = try await cluster.kubectl("get", "namespace", "team-a")
        #expect(refused.err.contains("refused"))
        try await cluster.startServer()
        #expect(try await cluster.kubectl("get", "namespace", "team-a").code == 0)

        cluster.freezeServer()
        #expect(try await cluster.kubectl("get", "namespace", "team-a", "--request-timeout=1s").code == 1)
        cluster.thawServer()
        try await eventually("it answers") { try await cluster.kubectl("get", "namespace", "team-a").code == 0 }
    }

    @Test func `a deleted namespace goes, with all that is in it`() async throws {
        let cluster = try await ControlPlane.start("east")
        try await cluster.run("create", "namespace", "team-a")
        try await cluster.run("create", "configmap", "one", "--namespace", "team-a")
        try await cluster.run("delete", "namespace", "team-a", "--wait=false")
        #expect(try await cluster.run("get", "configmap", "--namespace", "team-a", "-o", "name") == "configmap/one\n")
        try await cluster.finishDeletion(of: "team-a")
        #expect(try await cluster.kubectl("get", "namespace", "team-a").err.contains("not found"))
        try await cluster.run("create", "namespace", "team-a")
        #expect(try await cluster.run("get", "configmap", "--namespace", "team-a", "-o", "name") == "")
    }

    @Test func `nothing is left of a cluster that is let go`() async throws {
        var cluster: ControlPlane? = try await ControlPlane.start("east")
        let (pids, path) = (try #require(cluster?.pids), try #require(cluster?.directory.path))
        #expect(pids.count == 2)
        cluster = nil
        for pid in pids { #expect(kill(pid, 0) == -1 && errno == ESRCH) }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func `a missing program is an error that says how to get it`() throws {
        let directory = try TemporaryDirectory()
        let environment = ["KUBEBUILDER_ASSETS": directory.path, "PATH": "/nowhere"]
        let error = try #require(throws: ChildProcess.Failure.self) {
            try ControlPlaneBinaries.find(environment: environment)
        }
        #expect(error.description.contains("no etcd in \(directory.path) /nowhere; run scripts/control-plane.sh"))
    }

    @Test func `a child ends when the program that started it is killed`() async throws {
        let directory = try TemporaryDirectory()
        // The same leash as ours, but around a shell, which can be killed without this test.
        let parent = try ChildProcess(
            "/bin/sh", ["-c", "/usr/bin/setpriv --pdeathsig KILL -- /bin/sleep 1000 & echo $!; wait"], in: directory)
        try await eventually("the child has started") { parent.out.hasSuffix("\n") }
        let child = try #require(pid_t(parent.out.dropLast()))
        try await eventually("it is on the leash") {
            (try? String(contentsOfFile: "/proc/\(child)/comm", encoding: .utf8)) == "sleep\n"
        }
        parent.send(SIGKILL)
        _ = await parent.exit()
        try await eventually("the child has ended") {
            // Its new parent may not have taken note of its end yet.
            let status = (try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)) ?? ""
            return status.isEmpty || status.contains(") Z ")
        }
    }
}
