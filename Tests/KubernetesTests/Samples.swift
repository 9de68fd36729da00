import Platform
import Support

@testable import Kubernetes

/// What tests call an API server with.
enum Sample {
    static let quiet = Log { _ in }

    static func credentials(
        _ server: ScriptedAPIServer, _ user: KubernetesCredentials.User = .token("sample")
    ) throws -> KubernetesCredentials {
        try KubernetesCredentials(server: server.url, trust: .fixed(.system), user: user)
    }

    static func client(
        _ server: ScriptedAPIServer, rate: RateLimit = RateLimit(), log: Log = quiet, pauses: Pauses = Pauses()
    ) throws -> KubernetesClient {
        client(try credentials(server), rate: rate, log: log, pauses: pauses)
    }

    /// Its watches do not pause; they only say that they would.
    static func client(
        _ credentials: KubernetesCredentials, rate: RateLimit = RateLimit(), log: Log = quiet,
        pauses: Pauses = Pauses(), now: @escaping @Sendable () -> Int64 = { 0 }
    ) -> KubernetesClient {
        KubernetesClient(
            APIConnection(AccessKeeper(credentials, log: log, now: now), server: credentials.server, rate: rate),
            log: log, sleep: pauses.add)
    }

    static func namespace(_ name: String, version: Int = 1) -> String {
        #"{"metadata":{"name":"\#(name)","resourceVersion":"\#(version)"}}"#
    }

    static func list(_ items: [String], version: Int, next: String? = nil) -> String {
        let next = next.map { #","continue":"\#($0)""# } ?? ""
        return #"{"metadata":{"resourceVersion":"\#(version)"\#(next)},"items":[\#(items.joined(separator: ","))]}"#
    }

    static func event(_ type: String, _ object: String) -> String {
        #"{"type":"\#(type)","object":\#(object)}"# + "\n"
    }

    static let expired = event(
        "ERROR",
        #"{"kind":"Status","status":"Failure","reason":"Expired","message":"too old resource version","code":410}"#)
}

/// The pauses that a watch made.
final class Pauses: Sendable {
    private let pauses = Locked<[Duration]>([])

    @Sendable func add(_ pause: Duration) { pauses.withLock { $0.append(pause) } }
    var all: [Duration] { pauses.withLock { $0 } }
}

/// The lines of a log.
final class LogLines: Sendable {
    private let lines = Locked<[String]>([])

    var log: Log { Log(level: .debug) { line in self.lines.withLock { $0.append(line) } } }
    var all: [String] { lines.withLock { $0 } }
}

/// Gives out the answers of a script one after the other; the last one again and again.
final class Script: Sendable {
    private let answers: Locked<[ScriptedAPIServer.Answer]>

    init(_ answers: ScriptedAPIServer.Answer...) { self.answers = Locked(answers) }

    func next() -> ScriptedAPIServer.Answer {
        answers.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
    }
}
