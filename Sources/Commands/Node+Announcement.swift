internal import Platform
internal import Webhook

extension Node {
    /// Tells whoever started the process what it serves where.
    func announce(
        uid: String?, server: String?, admissions: SocketAddress?, granting: SocketAddress?, health: SocketAddress?,
        metrics: SocketAddress?
    ) {
        let store = controller.map { "\($0.address)" }
        let admissionURL = admissions.map { "https://\($0.reachable)/validate" }
        let grantsURL = granting.map { "https://\($0.reachable)\(GrantServing.path)" }
        let controllers = grants.map { $0.keeper.addresses.map(\.description).joined(separator: " ") }
        let healthURL = health.map { "http://\($0.reachable)/readyz" }
        let metricsURL = metrics.map { "http://\($0.reachable)/metrics" }
        guard options.logFormat == .text else {
            log.info(
                "Started",
                [
                    "version": Program.version, "cluster": cluster, "uid": uid ?? "", "server": server ?? "",
                    "store": store ?? "", "controllers": controllers ?? "", "admissions": admissionURL ?? "",
                    "grants": grantsURL ?? "", "health": healthURL ?? "", "metrics": metricsURL ?? "",
                    "ca": webhook?.authority ?? "",
                ])
            return
        }
        var text = "leasehold \(Program.version)\n"
        let namespaces = controller?.options.namespaces ?? []
        let lines: [(String, String?)] = [
            ("cluster", cluster + (uid.map { ", uid \($0)" } ?? "")), ("API server", server),
            ("namespaces", namespaces.isEmpty ? nil : namespaces.joined(separator: " ")), ("store", store),
            ("controllers", controllers), ("admissions", admissionURL), ("grants", grantsURL), ("health", healthURL),
            ("metrics", metricsURL), ("CA", webhook?.authority),
        ]
        for case (let label, let value?) in lines {
            text += "  \(label)\(String(repeating: " ", count: 12 - label.count))\(value)\n"
        }
        if let authority = webhook?.authority, let admissionURL, webhook?.options.clientCA == nil,
            let namespace = namespaces.first
        {
            let review =
                #"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"UPDATE","#
                + #""namespace":"\#(namespace)","userInfo":{"username":"#
                + #""system:serviceaccount:\#(namespace):operator"}}}"#
            text += "Try it:\n  curl --cacert '\(authority)' \(admissionURL) -d '\(review)'\n"
        }
        console.err(text)
    }
}
