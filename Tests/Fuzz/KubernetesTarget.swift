import FoundationEssentials
import HTTP

@testable import Kubernetes

/// What kubectl, credential plugins and API servers say.
enum KubernetesTarget {
    static func runKubeconfig(_ bytes: [UInt8]) throws(Finding) {
        guard let config = try? JSONDecoder().decode(Kubeconfig.self, from: Data(bytes)) else { return }
        let credentials: KubernetesCredentials
        do throws(KubernetesError) {
            credentials = try config.credentials(directories: ["/nowhere"], environment: [:])
        } catch {
            try require(error.code == .credentials, "an error of another kind: \(error)")
            return
        }
        // Logs and errors quote it.
        try require(
            credentials.server.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"@?#".utf8.contains($0) },
            "a server with more than host and path: \(credentials.server)")
    }

    private static let plugin = ExecPlugin(
        apiVersion: ExecPlugin.apiVersions[0], command: "plugin", arguments: [], environment: [:], installHint: nil,
        information: "{}", directories: [])

    static func runPlugin(_ bytes: [UInt8]) throws(Finding) {
        guard let credential = try? plugin.credential(in: bytes) else { return }
        try require(credential.token != nil || credential.identity != nil, "a credential that is none")
    }

    static func runWatch(_ bytes: [UInt8]) throws(Finding) {
        let whole = lines(bytes, [0..<bytes.count])
        try require(whole == lines(bytes, bytes.pieces), "cut elsewhere, the lines are others")
        let simple = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { Array($0) }
        try require(whole.tooLong || whole.lines == simple.dropLast().filter { !$0.isEmpty }, "other lines")
        for line in whole.lines {
            let data = Data(line)
            switch line.seed % 4 {
            case 0: _ = try? JSONDecoder().decode(Line<NamespaceObject>.self, from: data)
            case 1: _ = try? JSONDecoder().decode(Line<SecretObject>.self, from: data)
            case 2:
                guard case .failed(let status)? = try? JSONDecoder().decode(Line<LeaseObject>.self, from: data) else {
                    break
                }
                let resource = LeaseObject.resource
                _ = KubernetesError("GET", code: status.code ?? 500, isWrite: false, resource: resource, status)
            default:
                guard let value = try? JSONDecoder().decode(JSONValue.self, from: data) else { break }
                let written = try? JSONEncoder().encode(value)
                let again = written.flatMap { try? JSONDecoder().decode(JSONValue.self, from: $0) }
                try require(written == nil || again != nil, "passed on, it is no JSON")
            }
        }
    }

    private struct Lines: Equatable {
        var lines: [[UInt8]] = []
        var tooLong = false
    }

    private static func lines(_ bytes: [UInt8], _ pieces: [Range<Int>]) -> Lines {
        var splitter = LineSplitter(bytesMax: 1024)
        var result = Lines()
        for piece in pieces {
            splitter.append(Array(bytes[piece]))
            do throws(LineSplitter.TooLong) {
                while let line = try splitter.next() { result.lines.append(Array(line)) }
            } catch {
                result.tooLong = true
                return result
            }
        }
        return result
    }

    /// The first line is the header Retry-After.
    static func runStatus(_ bytes: [UInt8]) throws(Finding) {
        let end = bytes.firstIndex(of: UInt8(ascii: "\n")) ?? 0
        let hint = String(decoding: bytes[..<end], as: UTF8.self)
        let statuses = [401, 403, 404, 409, 410, 422, 429, 500, 503]
        let status = statuses[Int(bytes.seed % UInt64(statuses.count))]
        let answer = HTTPResponse(status: status, headers: [.init("Retry-After", hint)], body: Array(bytes[end...]))
        let error = KubernetesError("GET /", isWrite: true, resource: LeaseObject.resource, answer)
        try require(!error.message.contains(where: \.isNewline), "more than one line: \(error.message)")
        try require(error.retryAfter.map { .zero...(.seconds(3600)) ~= $0 } ?? true, "a pause out of bounds")
    }
}
