private import FoundationEssentials

/// A `ValidatingWebhookConfiguration` as far as it says when and how the API server asks; only to be read.
package struct WebhookRegistration: APIObject {
    package static let resource = WebhookConfigurationObject.resource

    package struct Webhook: Codable, Sendable {
        package var name: String
        package var clientConfig: WebhookConfigurationObject.ClientConfig
        package var rules: [Rule]?
        package var failurePolicy: String?
        package var namespaceSelector: Selector?
        package var sideEffects: String?
        package var timeoutSeconds: Int?
        package var admissionReviewVersions: [String]?
        /// Not known before Kubernetes 1.28.
        package var matchConditions: [JSONValue]?
    }

    package struct Rule: Codable, Hashable, Sendable {
        package var operations: [String]?
        package var apiGroups: [String]?
        package var apiVersions: [String]?
        package var resources: [String]?
        package var scope: String?
    }

    /// A label selector in the API's form (apimachinery, `LabelSelector`).
    package struct Selector: Codable, Sendable {
        package struct Requirement: Codable, Sendable {
            package var key: String
            package var `operator`: String
            package var values: [String]?
        }

        package var matchLabels: [String: String]?
        package var matchExpressions: [Requirement]?

        /// An operator that is not known matches nothing.
        package func matches(_ labels: [String: String]) -> Bool {
            (matchLabels ?? [:]).allSatisfy { labels[$0.key] == $0.value }
                && (matchExpressions ?? []).allSatisfy { requirement in
                    let value = labels[requirement.key]
                    let isListed = value.map { (requirement.values ?? []).contains($0) } ?? false
                    return switch requirement.operator {
                    case "In": isListed
                    case "NotIn": !isListed
                    case "Exists": value != nil
                    case "DoesNotExist": value == nil
                    default: false
                    }
                }
        }
    }

    package var metadata: ObjectMetadata
    package var webhooks: [Webhook]?
}

extension WebhookConfigurationObject.ClientConfig {
    /// The authorities, PEM; nil: there are none, or they are not base64.
    package var authorities: [UInt8]? {
        guard let data = caBundle.flatMap({ Data(base64Encoded: $0) }), !data.isEmpty else { return nil }
        return [UInt8](data)
    }
}
