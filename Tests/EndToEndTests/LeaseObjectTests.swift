import FoundationEssentials
import Support
import Testing

/// The Lease object that people see in each namespace, and what they may do with it.
@Suite(.serialized) struct LeaseObjectTests {
    private func annotate(_ cluster: TestCluster, _ value: String, in namespace: String = "team-a") async throws {
        try await cluster.plane.run(
            "annotate", "leases.leaderelection.600lyy.io", "lease-gsc", "--namespace", namespace,
            "leaderelection.600lyy.io/transfer-to=\(value)")
    }

    private func patch(_ cluster: TestCluster, _ spec: String, in namespace: String = "team-a") async throws {
        try await cluster.plane.run(
            "patch", "leases.leaderelection.600lyy.io", "lease-gsc", "--namespace", namespace, "--type=merge",
            "--patch", #"{"spec":\#(spec)}"#)
    }

    private func events(_ cluster: TestCluster, in namespace: String = "team-a") async throws -> String {
        try await cluster.plane.run(
            "get", "events", "--namespace", namespace, "--output",
            "jsonpath={range .items[*]}{.type} {.reason} {.involvedObject.kind}/{.involvedObject.name}: {.message}{\"\\n\"}{end}"
        )
    }

    @Test func `each namespace has one, which tells the same on every cluster`() async throws {
        let fleet = try await Fleet.start(["east", "west"], Fleet.patience)
        let (east, west) = (fleet["east"], fleet["west"])

        for cluster in fleet.clusters {
            #expect(
                try await cluster.lease(".metadata.annotations.managed-by") == "leaderelection.600lyy.io/lease-operator"
            )
            #expect(try await cluster.lease(".spec.holderIdentity") == cluster.name)
            #expect(try await cluster.lease(".spec.leaseDurationSeconds") == "120")
            #expect(try await cluster.lease(".status.observedHolderIdentity") == "east")
            #expect(try await cluster.lease(".status.observedGeneration") == "1")
        }
        #expect(try await west.lease(".status.isLeader") == "false")
        #expect(try await east.lease(".status.term") == west.lease(".status.term"))
        let condition = #".status.conditions[?(@.type=="Held")].reason"#
        #expect(try await east.lease(condition) == "Leads")
        #expect(try await west.lease(condition) == "OtherClusterLeads")
        let acquired = try await east.lease(".status.observedAcquireTime")
        #expect(acquired.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/) != nil, "\(acquired)")

        let table = try await east.plane.run("get", "ll", "--namespace", "team-a")
        #expect(table.contains("LEADER   HOLDER   TERM"), "\(table)")
        #expect(table.contains("lease-gsc   true     east"), "\(table)")

        // The namespaces left out by default have none.
        #expect(try await east.lease(".metadata.name", in: "default") == "")
        try await east.until("an Event tells of the election") {
            try await events(east).contains("Normal LeaderElected Lease/lease-gsc: east leads team-a (term ")
        }
        try await west.until("an Event tells of the election") {
            try await events(west).contains("Normal LeaderElected Lease/lease-gsc: east leads team-a (term ")
        }

        // Renewed with every heartbeat.
        func renewed() async throws -> String {
            try await east.plane.run(
                "get", "leases.coordination.k8s.io", "leader-election-controller", "--namespace",
                ControlPlane.systemNamespace, "--output", "jsonpath={.spec.holderIdentity} {.spec.renewTime}")
        }
        let first = try await renewed()
        #expect(first.hasPrefix("east 2"))
        try await east.until("the controller's own Lease is renewed") { try await renewed() != first }

        // An observed renew time grows without a change of the leader, on both.
        for cluster in fleet.clusters {
            let before = try await cluster.lease(".status.observedRenewTime")
            try await cluster.until("\(cluster.name) refreshes the observed renew time") {
                try await cluster.lease(".status.observedRenewTime") > before
            }
        }

        // Deleted, it comes back; edited, it is set right.
        let uid = try await east.lease(".metadata.uid")
        try await east.plane.run("delete", "ll", "lease-gsc", "--namespace", "team-a")
        try await east.until("the Lease is made anew") {
            let new = try await east.lease(".metadata.uid")
            return !new.isEmpty && new != uid
        }
        try await east.waitUntilLeads("team-a")
        try await patch(west, #"{"holderIdentity":"nonsense"}"#)
        try await west.until("the holder is set right") { try await west.lease(".spec.holderIdentity") == "west" }
        try await west.until("an Event tells") {
            try await events(west).contains(
                "Warning HolderIdentityRepaired Lease/lease-gsc: spec.holderIdentity said nonsense")
        }

        // A duration that the rules forbid takes the namespace out, and says so; a good one takes it in again.
        try await patch(west, #"{"leaseDurationSeconds":4}"#)
        try await west.until("the condition tells") { try await west.lease(condition) == "DurationRefused" }
        try await patch(west, #"{"leaseDurationSeconds":20}"#)
        try await west.until("the condition tells") { try await west.lease(condition) == "OtherClusterLeads" }
        let refused = try await west.plane.kubectl(
            "patch", "ll", "lease-gsc", "--namespace", "team-a", "--type=merge", "--patch",
            #"{"spec":{"leaseDurationSeconds":"long"}}"#)
        #expect(refused.code == 1, "the schema refuses what is no number")

        // A longer duration is honoured by the leader, and stands in the record.
        try await patch(east, #"{"leaseDurationSeconds":150}"#)
        try await east.until("the record has the new duration") {
            let record = fleet.emulator.body(of: "leases/team-a", in: Fleet.bucket) ?? []
            return String(decoding: record, as: UTF8.self).contains(#""leaseDurationSeconds" : 150"#)
        }
        #expect(try await east.lease(".status.isLeader") == "true")
        await fleet.end()
    }

    @Test func `a namespace is handed over by an annotation, by its spec, and by the command, and back`() async throws {
        let fleet = try await Fleet.start(["east", "west"], Fleet.patience)
        let (east, west) = (fleet["east"], fleet["west"])

        try await annotate(east, "west")
        try await west.waitUntilLeads("team-a")
        try await east.waitUntilSaw("west", lead: "team-a")
        try await east.until("the annotation is gone") {
            try await east.lease(".metadata.annotations").contains("transfer-to") == false
        }
        try await east.until("an Event tells") {
            try await events(east).contains("Normal HandoverRequested Lease/lease-gsc: west is to lead team-a")
        }
        try await east.until("an Event tells") {
            try await events(east).contains(
                "Normal LeaderLost Lease/lease-gsc: east gives team-a back so that west can lead it")
        }

        // On whichever cluster; the last wish counts.
        try await patch(west, #"{"preferredHolder":"east"}"#)
        try await east.waitUntilLeads("team-a")
        #expect(try await west.lease(".status.observedPreferredHolder") == "east")

        let transfer = try ChildProcess(
            leasehold: ["transfer", "team-a", "--to", "west", "--store", "gs://\(Fleet.bucket)"],
            environment: ["STORAGE_EMULATOR_HOST": fleet.emulator.url], in: west.plane.directory)
        #expect(await transfer.exitCode() == 0, "\(transfer.err)")
        try await west.waitUntilLeads("team-a")

        // What is no cluster's name is refused, and said.
        try await annotate(west, "No/Cluster")
        try await west.until("an Event tells") {
            try await events(west).contains(
                #"Warning HandoverRefused Lease/lease-gsc: No handover was asked for: "No/Cluster""#)
        }
        #expect(try await west.lease(".status.isLeader") == "true")
        await fleet.end()
    }

    @Test func `a preferred cluster gets its namespace back when it returns`() async throws {
        let fleet = try await Fleet.start()
        let (east, west) = (fleet["east"], fleet["west"])
        try await patch(east, #"{"preferredHolder":"east"}"#)
        try await east.until("the wish is in the record") {
            try await east.lease(".status.observedPreferredHolder") == "east"
        }
        await east.kill()
        try await west.waitUntilLeads("team-a")
        try await east.start()
        try await east.waitUntilLeads("team-a")
        try await west.waitUntilSaw("east", lead: "team-a")
        await fleet.end()
    }

    @Test func `new namespaces are led, deleted ones are given back, and labels choose`() async throws {
        let fleet = try await Fleet.start(["east", "west"], ["--namespace-selector", "!private"] + Fleet.patience)
        let (east, west) = (fleet["east"], fleet["west"])
        for cluster in fleet.clusters { try await cluster.plane.run("create", "namespace", "team-b") }
        try await east.until("team-b is led") {
            try await east.lease(".status.observedHolderIdentity", in: "team-b") != ""
        }
        let leader = try await fleet[east.lease(".status.observedHolderIdentity", in: "team-b")]
        let other = leader.name == "east" ? west : east
        try await leader.waitUntilLeads("team-b")

        try await leader.plane.run("delete", "namespace", "team-b", "--wait=false")
        try await leader.plane.finishDeletion(of: "team-b")
        try await other.waitUntilLeads("team-b")

        // One that is taken out by its label is given back, too.
        try await other.plane.run("label", "namespace", "team-b", "private=yes")
        try await other.until("the record is free") {
            let record = fleet.emulator.body(of: "leases/team-b", in: Fleet.bucket) ?? []
            return String(decoding: record, as: UTF8.self).contains(#""holderIdentity" : """#)
        }
        await fleet.end()
    }
}
