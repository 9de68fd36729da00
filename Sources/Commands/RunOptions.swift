/// What `leasehold run` is told.
struct RunOptions: FlagOptions {
    var election = ElectionOptions()
    /// The ValidatingWebhookConfiguration whose caBundle is kept.
    var webhookConfiguration = "leader-election-webhook"
    var webhook = WebhookOptions()
    var policy = PolicyOptions()
    var process = ProcessOptions()

    static var groups: [FlagGroup<RunOptions>] {
        ElectionOptions.groups(at: \.election) + [
            FlagGroup(
                "Webhook",
                WebhookOptions.flags(at: \.webhook) + [
                    Flag(
                        "webhook-configuration", \.webhookConfiguration, .name("NAME"),
                        "The ValidatingWebhookConfiguration whose caBundle is kept to the authority of the certificate "
                            + "made by itself.")
                ]),
            FlagGroup("Guard", PolicyOptions.flags(at: \.policy)),
        ] + ProcessOptions.groups(at: \.process)
    }

    /// - Throws: ``UsageError`` for flags that only make sense together, or contradict each other.
    func check(_ environment: [String: String]) throws(UsageError) {
        try election.checkWhereNamespacesComeFrom(environment)
        try webhook.check()
        try process.check(beside: [("--bind-address", webhook.bindAddress)])
    }
}
