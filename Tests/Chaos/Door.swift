private import FoundationEssentials
private import HTTP
internal import Platform
internal import Support
private import TLS

/// Asks one webhook all the time, about one namespace after the other.
final class Door: Sendable {
    let name: String
    let cluster: String
    private let client: HTTPClient
    private let requests: [HTTPRequest]
    private let ledger: Ledger
    private let waiting = Locked(Waiting())
    private let isStopping = Locked(false)

    private struct Waiting {
        var count = 0
        var turns = 0
        var latest = ContinuousClock.now
    }

    /// Between two questions: what two processors can bear beside all the rest.
    private static let pace = Duration.milliseconds(20)
    /// Questions that wait for answers at once, as a rule.
    private static let waitingMax = 2
    /// Now and then, and so many: connections that are open and idle when the process falls asleep carry the questions
    /// that it finds when it wakes up.
    private static let burst = 8
    private static let burstEvery = 100
    /// While nothing is answered, another question is sent after this time, so that it is known what a process that wakes up
    /// says first, and also to what was asked shortly before.
    private static let patience = Duration.milliseconds(700)
    private static let waitingMaxOfSleeper = 24

    /// - Parameters:
    ///   - name: of the process, which begins with the cluster's.
    ///   - authority: the certificate, PEM, by which its webhook is known.
    init(_ name: String, of cluster: String, port: UInt16, authority: [UInt8], ledger: Ledger) throws {
        self.name = name
        self.cluster = cluster
        self.ledger = ledger
        var options = HTTPClient.Options()
        options.trust = .authorities(authority)
        client = HTTPClient(options)
        let fixture = ControlPlane.projectFile("Tests/WebhookTests/Fixtures/01-create-guestbooks.json")
        let review = try String(contentsOfFile: fixture, encoding: .utf8)
        requests = ChaosSettings.namespaces.map { namespace in
            HTTPRequest(
                .post, "https://127.0.0.1:\(port)/validate", headers: [.init("Content-Type", "application/json")],
                body: Array(review.replacing("team-a", with: namespace).utf8), timeout: .seconds(120))
        }
    }

    /// Asks on a new connection each time, until ``stop()``.
    func knock() async {
        var next = 0
        while !isStopping.withLock({ $0 }) {
            var request = requests[next % requests.count]
            next += 1
            request.headers.append(.init("Connection", "close"))
            request.timeout = .seconds(10)
            // What is answered is for the other questions.
            _ = try? await client.send(request)
            try? await Task.sleep(for: .milliseconds(200), clock: .continuous)
        }
    }

    /// Asks until ``stop()``, and then waits for no answer any more.
    func run() async {
        await withDiscardingTaskGroup { group in
            var next = 0
            while !isStopping.withLock({ $0 }) {
                for _ in 0..<takeTurns() {
                    let index = next % requests.count
                    next += 1
                    group.addTask { await self.ask(index) }
                }
                // Interrupted by nothing.
                try? await Task.sleep(for: Self.pace, clock: .continuous)
            }
            group.cancelAll()
        }
    }

    func stop() { isStopping.withLock { $0 = true } }

    /// How many questions are to be sent now.
    private func takeTurns() -> Int {
        waiting.withLock { waiting in
            let now = ContinuousClock.now
            let isMeant =
                waiting.count < Self.waitingMax
                || waiting.count < Self.waitingMaxOfSleeper && now - waiting.latest > Self.patience
            guard isMeant else { return 0 }
            waiting.turns += 1
            let count = waiting.turns % Self.burstEvery == 0 ? Self.burst : 1
            waiting.count += count
            waiting.latest = now
            return count
        }
    }

    private func ask(_ index: Int) async {
        let sent = ContinuousClock.now
        let answer: ReviewAnswer?
        do throws(HTTPError) {
            let response = try await client.send(requests[index])
            answer = response.status == 200 ? ReviewAnswer(parsing: response.body) : nil
        } catch {
            // It is down, or was killed meanwhile.
            answer = nil
        }
        let received = ContinuousClock.now
        waiting.withLock { $0.count -= 1 }
        guard let answer else { return ledger.addUnanswered() }
        guard answer.isAllowed else { return ledger.addDenial(at: name, sent: sent) }
        ledger.add(
            Ledger.Admission(
                namespace: ChaosSettings.namespaces[index], cluster: cluster, door: name, term: answer.term, sent: sent,
                received: received))
    }
}
