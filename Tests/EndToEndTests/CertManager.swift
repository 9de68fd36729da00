import FoundationEssentials
import Support
import TLS

/// What cert-manager does with `config/certmanager`: issues what is asked for by one authority, and tells API servers of it.
struct CertManager {
    private let plane: ControlPlane
    private let authority: CertificateAuthority

    /// Makes its kinds known, as far as the API server must know them.
    init(on plane: ControlPlane) async throws {
        self.plane = plane
        authority = try CertificateAuthority.make(commonName: "leader-election-ca")
        for kind in ["Certificate", "Issuer"] {
            let singular = kind.lowercased()
            try await plane.run(
                "apply", "--filename", "-",
                input: """
                    {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                     "metadata": {"name": "\(singular)s.cert-manager.io"},
                     "spec": {"group": "cert-manager.io", "scope": "Namespaced",
                      "names": {"kind": "\(kind)", "plural": "\(singular)s", "singular": "\(singular)"},
                      "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                       {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}
                    """)
            try await eventually("\(kind) is served") {
                try await plane.kubectl("get", "\(singular)s.cert-manager.io", "--all-namespaces").code == 0
            }
        }
    }

    private struct List: Decodable { let items: [Request] }

    private struct Request: Decodable {
        struct Spec: Decodable {
            let secretName: String
            let dnsNames: [String]?
            let usages: [String]?
            let isCA: Bool?
        }
        let spec: Spec
    }

    /// The webhook's certificate is also for 127.0.0.1, where the API servers of the tests find it.
    func issue(in namespace: String) async throws {
        let text = try await plane.run(
            "get", "certificates.cert-manager.io", "--namespace", namespace, "--output", "json")
        for request in try JSONDecoder().decode(List.self, from: Data(text.utf8)).items.map(\.spec)
        where request.isCA != true {
            let isServer = request.usages?.contains("server auth") == true
            let identity = try authority.issue(
                commonName: request.secretName,
                names: (request.dnsNames ?? []).map { .dns($0) } + (isServer ? [.ip("127.0.0.1")] : []),
                purpose: isServer ? .server : .client)
            let key = try identity.key.withPEM { span in
                Data(span.indices.map { span[$0] })
            }
            let chain = try identity.chain.map { try $0.pem() }.joined()
            try await plane.run(
                "create", "--filename", "-",
                input: """
                    {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                     "metadata": {"name": "\(request.secretName)", "namespace": "\(namespace)"},
                     "data": {"ca.crt": "\(try bundle())", "tls.crt": "\(Data(chain.utf8).base64EncodedString())",
                      "tls.key": "\(key.base64EncodedString())"}}
                    """)
        }
    }

    func inject(into configuration: String) async throws {
        try await plane.run(
            "patch", "validatingwebhookconfiguration", configuration, "--type=json", "--patch",
            #"[{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "\#(try bundle())"}]"#)
    }

    private func bundle() throws -> String { Data(try authority.certificate.pem().utf8).base64EncodedString() }
}
