package import Platform

extension Route {
    /// `/validate`: answers AdmissionReviews. The API server adds a query (`?timeout=10s`), which says nothing new.
    package static func validate(policy: Policy, board: LeadershipBoard, counters: AdmissionCounters) -> Route {
        Route(.post, "/validate") {
            let responder = AdmissionResponder(policy: policy, board: board, counters: counters)
            return { body, _, answer in
                let status = unsafe body.withUnsafeBytes { unsafe responder.respond(to: $0, into: &answer) }
                return status == 200 ? Answer(.ok, "application/json") : Answer(.badRequest, Answer.text)
            }
        }
    }

    /// `/healthz`: that it answers is the answer. Nothing that a restart would not mend belongs here.
    package static let healthz = Route(.get, "/healthz") {
        { _, _, answer in
            answer.append("ok\n")
            return Answer(.ok, Answer.text)
        }
    }

    /// `/readyz`: 200 when every check passes, else 503. The checks are listed when one fails or `?verbose` asks.
    package static func readyz(_ checks: @escaping @Sendable () -> [ReadinessCheck]) -> Route {
        Route(.get, "/readyz") {
            { _, query, answer in
                let results = checks()
                let isReady = results.allSatisfy { $0.problem == nil }
                if !isReady || query.equals("verbose") || query.starts(with: "verbose=") {
                    for result in results {
                        let line =
                            result.problem.map { "[-]\(result.name) failed: \($0)\n" } ?? "[+]\(result.name) ok\n"
                        answer.append(contentsOf: line.utf8)
                    }
                }
                answer.append(isReady ? "ok\n" : "not ready\n")
                return Answer(isReady ? .ok : .unavailable, Answer.text)
            }
        }
    }

    /// `/metrics` in the Prometheus text format 0.0.4.
    package static func metrics(_ families: @escaping @Sendable () -> [MetricFamily]) -> Route {
        Route(.get, "/metrics") {
            { _, _, answer in
                answer.append(contentsOf: MetricFamily.text(families()).utf8)
                return Answer(.ok, "text/plain; version=0.0.4; charset=utf-8")
            }
        }
    }
}

extension Span<UInt8> {
    fileprivate func starts(with word: StaticString) -> Bool {
        count >= word.utf8CodeUnitCount && extracting(0..<word.utf8CodeUnitCount).equals(word)
    }
}
