private import FoundationEssentials
internal import HTTP

/// One request to the API server, before it is known who sends it.
struct APICall: Sendable {
    let method: HTTPRequest.Method
    let path: APIPath
    let resource: APIResource
    let isUrgent: Bool
    /// Whether the answer is a list; of no account but for a kind of which only the metadata is read.
    var isList = false
    var body: [UInt8]?
    var contentType: String?
    /// Beside those that every call has.
    var headers: [HTTPRequest.Header] = []
    /// The API server itself gives up after a minute at the latest; nothing here can wait so long.
    var timeout = Duration.seconds(15)
    /// An object has at most 3 MiB (the API server's limit on requests).
    var responseBytesMax = 16 << 20

    init(_ method: HTTPRequest.Method, _ path: APIPath, _ resource: APIResource, isUrgent: Bool = false) {
        self.method = method
        self.path = path
        self.resource = resource
        self.isUrgent = isUrgent
    }

    /// For errors.
    var text: String { "\(method.rawValue) \(path.path)" }

    var isWrite: Bool { method != .get }

    func request(to server: String, authorization: String?) -> HTTPRequest {
        var headers = [HTTPRequest.Header("Accept", accept)]
        if let contentType { headers.append(HTTPRequest.Header("Content-Type", contentType)) }
        headers += self.headers
        if let authorization { headers.append(HTTPRequest.Header("Authorization", authorization)) }
        return HTTPRequest(
            method, server + path.text, headers: headers, body: body, timeout: timeout,
            responseBytesMax: responseBytesMax)
    }

    private var accept: String {
        guard resource.isMetadataOnly, method == .get else { return "application/json" }
        return
            "application/json;as=\(isList ? "PartialObjectMetadataList" : "PartialObjectMetadata");g=meta.k8s.io;v=v1"
    }

    /// - Throws: ``KubernetesError/Code/unclear``: what calls itself a success and cannot be read came from somebody else.
    func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: some Collection<UInt8>
    ) throws(KubernetesError) -> Value {
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
            throw KubernetesError(
                .unclear,
                "\(text): the answer is not what an API server sends (\(Self.reason(error))). Check that the URL is an API "
                    + "server's and that no proxy answers in its place")
        }
    }

    /// Why something does not decode, without any of its values, which may be secrets.
    static func reason(_ error: any Error) -> String {
        func place(_ context: DecodingError.Context) -> String {
            context.codingPath.isEmpty ? "the whole" : context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        return switch error as? DecodingError {
        case .keyNotFound(let key, let context)?: "no \(key.stringValue) in \(place(context))"
        case .valueNotFound(_, let context)?: "null for \(place(context))"
        case .typeMismatch(let type, let context)?: "\(place(context)) is no \(type)"
        case .dataCorrupted(let context)?: "\(place(context)) is not valid"
        default: "not readable"
        }
    }
}
