internal import HTTP

/// What a Google service says went wrong, as text for people; it never holds a token.
enum GoogleFailure {
    private static let textCharactersMax = 300

    /// Both forms: `{"error": {"message"}}` of the APIs, `{"error", "error_description"}` of OAuth (RFC 6749, section 5.2).
    private struct Answer: Decodable {
        struct Details: Decodable {
            let message: String?
        }
        let details: Details?
        let code: String?
        let description: String?

        enum Key: String, CodingKey {
            case error
            case description = "error_description"
        }

        init(from decoder: any Decoder) throws {
            let answer = try decoder.container(keyedBy: Key.self)
            details = try? answer.decode(Details.self, forKey: .error)
            code = try? answer.decode(String.self, forKey: .error)
            description = try? answer.decode(String.self, forKey: .description)
        }
    }

    /// `403, "the server's words"`.
    static func text(of response: HTTPResponse) -> String {
        let answer = JSONText.decode(Answer.self, from: response.body)
        let said: String
        if let message = answer?.details?.message {
            said = message
        } else if let code = answer?.code {
            said = answer?.description.map { "\(code): \($0)" } ?? code
        } else {
            said = String(decoding: response.body.prefix(4 * textCharactersMax), as: UTF8.self)
        }
        // Control characters from outside could forge lines of a log.
        let printable = said.unicodeScalars.prefix(textCharactersMax).map {
            $0.properties.generalCategory == .control ? " " : Character($0)
        }
        let text = String(printable).split(separator: " ").joined(separator: " ")
        return text.isEmpty ? "\(response.status) without a reason" : "\(response.status), \"\(text)\""
    }
}

/// The pauses between attempts: twice as long each time, with a random part, so that clients do not come back in step.
struct Backoff {
    private static let longest = Duration.seconds(2)

    private var next = Duration.milliseconds(100)

    /// How long to wait before the next attempt.
    ///
    /// - Parameter response: the answer to the last one; its `Retry-After` is a lower bound (RFC 9110, section 10.2.3).
    mutating func pause(after response: HTTPResponse?) -> Duration {
        let pause = next * Double.random(in: 0.5...1)
        next = min(next * 2, Self.longest)
        // The form with a date is not used by Google.
        guard let text = response?.header("Retry-After"), let seconds = Int(text), seconds >= 0 else { return pause }
        return max(pause, .seconds(min(seconds, 86_400)))
    }
}

extension HTTPResponse {
    /// Whether the same request may well be answered a little later.
    var mayPass: Bool { status == 408 || status == 429 || (500...599).contains(status) }
}
