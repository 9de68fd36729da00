import HTTP
import Support

/// What a person, or a kubelet, sees of a Leasehold in trouble.
extension TestCluster {
    private func probe() async throws -> HTTPResponse? {
        // Not at once is it served.
        try? await HTTPClient().send(HTTPRequest(.get, "http://127.0.0.1:\(healthPort)/readyz?verbose"))
    }

    /// Waits until `/readyz` says no, and among its lines is one about `check` that has all these words.
    func waitUntilUnready(_ check: String, _ words: String...) async throws {
        let seen = Seen()
        do {
            try await until("\(check) is not ready") {
                guard let answer = try await self.probe() else { return false }
                let text = String(decoding: answer.body, as: UTF8.self)
                seen.text = text
                return answer.status == 503
                    && text.split(separator: "\n").contains { line in
                        line.hasPrefix("[-]\(check) failed: ") && words.allSatisfy { line.contains($0) }
                    }
            }
        } catch {
            throw ChildProcess.Failure("\(error)\nThe words \(words) are not all in /readyz: \(seen.text)")
        }
    }

    func waitUntilReady() async throws {
        let seen = Seen()
        do {
            try await until("\(name) is ready") {
                guard let answer = try await self.probe() else { return false }
                seen.text = String(decoding: answer.body, as: UTF8.self)
                return answer.status == 200
            }
        } catch {
            throw ChildProcess.Failure("\(error)\nThe last /readyz: \(seen.text)")
        }
    }

    /// Waits for a line of the log that has all these words.
    ///
    /// - Parameter mark: only what comes after as many characters counts; ``logMark`` of before.
    func waitForLog(_ words: String..., after mark: Int = 0) async throws {
        try await until("the log has a line with \(words)") {
            self.log.utf8.dropFirst(mark).split(separator: UInt8(ascii: "\n")).contains { line in
                let line = String(decoding: line, as: UTF8.self)
                return words.allSatisfy { line.contains($0) }
            }
        }
    }

    /// Where the log ends now.
    var logMark: Int { log.utf8.count }
}

/// The last text that was seen; used by one task.
private final class Seen {
    var text = ""
}
