private import FoundationEssentials

/// The registration of the admission webhook (`ValidatingWebhookConfiguration`), of which only the authorities matter.
///
/// Never to be replaced or applied from here: most of it is not read. ``patch(authorities:)`` changes it.
package struct WebhookConfigurationObject: APIObject, Hashable {
    package static let resource = APIResource(
        group: "admissionregistration.k8s.io", version: "v1", kind: "ValidatingWebhookConfiguration",
        plural: "validatingwebhookconfigurations", isNamespaced: false)

    package struct Webhook: Codable, Hashable, Sendable {
        package var name: String
        package var clientConfig: ClientConfig

        package init(name: String, clientConfig: ClientConfig) {
            self.name = name
            self.clientConfig = clientConfig
        }
    }

    package struct ClientConfig: Codable, Hashable, Sendable {
        /// The authorities that the webhook's certificate may be of, PEM in base64.
        package var caBundle: String?
        package var url: String?
        package var service: Service?

        package init() {}
    }

    package struct Service: Codable, Hashable, Sendable {
        package var namespace: String
        package var name: String
        package var path: String?
        package var port: Int?

        package init(namespace: String, name: String) {
            self.namespace = namespace
            self.name = name
        }
    }

    package var metadata: ObjectMetadata
    package var webhooks: [Webhook]?

    package init(metadata: ObjectMetadata, webhooks: [Webhook]) {
        self.metadata = metadata
        self.webhooks = webhooks
    }

    /// What to change so that every webhook here has these authorities; empty: nothing.
    ///
    /// The patch is refused as a whole (``KubernetesError/Code/invalid``) when the webhooks are no longer those read here:
    /// then read again.
    ///
    /// - Parameter authorities: PEM.
    package func patch(authorities: [UInt8]) -> [JSONPatch] {
        let bundle = Data(authorities).base64EncodedString()
        return (webhooks ?? []).enumerated().filter { $0.element.clientConfig.caBundle != bundle }.flatMap {
            at, webhook in
            [
                JSONPatch(.test, "/webhooks/\(at)/name", webhook.name),
                JSONPatch(.add, "/webhooks/\(at)/clientConfig/caBundle", bundle),
            ]
        }
    }
}

/// One step of a JSON patch (RFC 6902). All steps of a patch take effect, or none.
package struct JSONPatch: Codable, Hashable, Sendable {
    package enum Operation: String, Codable, Sendable {
        /// The patch is refused unless the value at `path` is this.
        case test
        /// Sets a member of an object, whether or not it was there; its parent must be.
        case add
    }

    package let op: Operation
    /// A JSON pointer (RFC 6901).
    package let path: String
    package let value: String

    package init(_ op: Operation, _ path: String, _ value: String) {
        self.op = op
        self.path = path
        self.value = value
    }
}
