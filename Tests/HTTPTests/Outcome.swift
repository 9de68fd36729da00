import HTTP

/// What became of a call, as tests compare it: no two of them can be mixed up.
enum Outcome: Equatable {
    case answered(Int)
    case failed
    case unclear
}

extension HTTPClient {
    /// Sends a request; the text is the error's, or the answer's body.
    func outcome(_ request: HTTPRequest) async -> (Outcome, text: String) {
        do throws(HTTPError) {
            let response = try await send(request)
            return (.answered(response.status), String(decoding: response.body, as: UTF8.self))
        } catch {
            return (error.outcome, error.description)
        }
    }
}

extension HTTPError {
    var outcome: Outcome {
        switch self {
        case .failed: .failed
        case .unclear: .unclear
        }
    }
}

extension HTTPStream {
    /// The rest of the body, and what ended it: nil if it is complete.
    func rest() async -> (text: String, error: HTTPError?) {
        var bytes: [UInt8] = []
        do throws(HTTPError) {
            while let piece = try await next() { bytes += piece }
            return (String(decoding: bytes, as: UTF8.self), nil)
        } catch {
            return (String(decoding: bytes, as: UTF8.self), error)
        }
    }
}
