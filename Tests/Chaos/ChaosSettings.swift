/// What a run of chaos is made of.
package struct ChaosSettings: Sendable {
    /// The same seed makes the same schedule of faults.
    package var seed: UInt64
    /// After which no new round begins.
    package var duration: Duration
    /// Where the reports and the logs go; nil: nowhere.
    package var folder: String?
    /// Not for breaking things but for seeing what grows: see ``Soak``. nil: chaos.
    var soak: Soak.Plan?
    /// Takes the progress, a line each.
    package var say: @Sendable (String) -> Void

    package init(
        seed: UInt64, duration: Duration, folder: String? = nil, say: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.seed = seed
        self.duration = duration
        self.folder = folder
        self.say = say
    }

    package static let clusters = ["east", "west", "north"]
    /// Of a soak, beside those: they share a directory, and each is one process.
    static let fileClusters = ["south", "islands"]
    package static let namespaces = (1...8).map { "n\($0)" }
    static let bucket = "chaos"

    // MARK: - Timing: as short as the rules of the protocol and of Cloud Storage allow

    static let leaseDuration = Duration.seconds(7)
    static let pollInterval = Duration.seconds(2)
    static let grantDuration = Duration.seconds(1)
    static let requestTimeout = Duration.seconds(2)
    static let relistInterval = Duration.seconds(10)

    static let timing = [
        "--lease-duration", "7s", "--renew-interval", "2s", "--poll-interval", "2s", "--store-timeout", "2s",
        "--grant-duration", "1s", "--commit-margin", "500ms", "--relist-interval", "10s",
    ]

    /// In which a namespace whose leader is gone is to have another.
    package static let failoverMax = leaseDuration + pollInterval * 2 + .seconds(1)

    /// In which, once nothing is broken any more, every namespace has a leader: the protocol's bound, with the re-list that
    /// it may take after a late write, and what a busy machine may add.
    static let progressMax =
        leaseDuration * 1.01 + pollInterval * 2 + requestTimeout + relistInterval + .seconds(20)
}
