package import Election
package import Support

/// What a run is made of: how many clusters, replicas, webhooks and namespaces, and how much goes wrong.
package struct Setting {
    package var clusters = 3
    package var replicas = 1
    package var webhooks = 1
    /// Whether controllers admit themselves, as `leasehold run` does, beside the webhooks that live by grants.
    package var controllersAdmit = true
    package var namespaces: [String] = ["n0"]
    /// The lease durations that namespaces may have, in seconds.
    package var durations = [15]
    package var timing = Timing()
    /// How long faults go on, and how long the run then lasts.
    package var faultTime: Int64 = 400 * second
    package var quietTime: Int64 = 200 * second
    /// How often, in percent, a request or a step meets trouble by chance.
    package var trouble = 2.0
    /// The longest network delay of a request in good order, in nanoseconds.
    package var delayMax: Int64 = 40 * millisecond
    /// How far a clock's rate may be from true time, in parts per million.
    package var clockRateMax: Int64 = 9_900
    /// Nothing goes wrong but directed sequences, one after the other: what else went wrong would only get in their way.
    package var isDirected = false
    /// Whether the clocks of every other cluster are as slow as they may be, and those of the rest as fast.
    package var clocksAreOpposed = false
    /// The mean time between two faults, and between two directed sequences of them.
    package var faultInterval: Int64 = 8 * second
    package var plotInterval: Int64 = 25 * second
    /// Whether an administrator deletes lease records: nobody new then starts for a while, see ``World``.
    package var deletesLeases = false

    package init() {}

    /// The setting of a seed.
    package init(random: inout SeededRandom) {
        clusters = [2, 2, 2, 3, 3, 4, 5][random.below(7)]
        replicas = random.chance(70) ? 2 : 1
        webhooks = [1, 1, 2, 3][random.below(4)]
        controllersAdmit = random.chance(60)
        namespaces = (0...[0, 0, 1, 1, 2, 3][random.below(6)]).map { "n\($0)" }
        durations = [[12, 15, 15, 20], [15], [12, 30, 60], [20, 40], [15, 60, 120]][random.below(5)]
        timing.relistInterval = .seconds([20, 20, 60][random.below(3)])
        timing.leaseDurationLimit = random.chance(70) ? durations.max() ?? 15 : 300
        trouble = [0.0, 0.5, 2, 4][random.below(4)]
        delayMax = [5, 40, 40, 300][random.below(4)] * millisecond
        faultInterval = [4, 8, 8, 20, 60][random.below(5)] * second
        plotInterval = [8, 15, 30][random.below(3)] * second
        clocksAreOpposed = random.chance(40)
        deletesLeases = random.chance(12)
        isDirected = random.chance(35)
        guard isDirected else { return }
        clusters = min(clusters, 3)
        replicas = 2
        namespaces = ["n0"]
        durations = [[15, 60, 120], [12, 30, 60], [12, 60]][random.below(3)]
        timing.leaseDurationLimit = durations.max() ?? 60
        timing.relistInterval = .seconds(20)
        clocksAreOpposed = true
        trouble = 0
        deletesLeases = false
        plotInterval = Int64(durations.max() ?? 60) * 9 / 4 * second + 30 * second
    }
}
