/// What opening a store needs to know beside its address: who asks, as the environment and the flags say.
package struct StoreAccess: Sendable {
    /// The process's environment.
    package var environment: [String: String]
    /// The Google Cloud project that pays for requests, where a bucket lets its users pay.
    package var projectID: String?
    /// Where credential files may send what they hold, beside Google's own: a URL, or only its scheme, host and port.
    package var allowedTokenURLs: [String]
    /// Takes a sentence for people, without a full stop: at opening, or later, when something goes wrong that no call fails by
    /// yet. Any thread may call it.
    package var warn: @Sendable (String) -> Void

    package init(
        environment: [String: String] = [:], projectID: String? = nil, allowedTokenURLs: [String] = [],
        warn: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.environment = environment
        self.projectID = projectID
        self.allowedTokenURLs = allowedTokenURLs
        self.warn = warn
    }

    /// Whether ``allowedTokenURLs`` may have this.
    package static func isTokenURL(_ text: String) -> Bool { TokenURLs.isURL(text) }
}
