/// A parser of bytes that come from outside, and what must hold of it whatever the bytes are.
///
/// That it neither traps nor hangs nor grows is seen by whoever runs it; what else must hold is checked in ``run(_:)``.
enum FuzzTarget: String, CaseIterable {
    /// Requests to any of the servers.
    case http
    /// An AdmissionReview, and its answer.
    case review
    /// `leases/NAMESPACE` and `members/CLUSTER` of a store.
    case lease
    case member
    /// A whole election in a store that says anything at all.
    case elector
    /// What a controller answers a webhook, and what a webhook asks.
    case grant
    case question
    /// What kubectl says of a kubeconfig, and a credential plugin of a credential.
    case kubeconfig
    case plugin
    /// Google's credential files, where they may send secrets, and the PEM texts in them.
    case credential
    case url
    case pem
    /// Answers of an API server: a watch, and a failure.
    case watch
    case status
    /// Answers of a bucket.
    case bucket
    /// Times in records and objects.
    case timestamp

    /// Longer inputs find nothing more, and take longer.
    var bytesMax: Int {
        switch self {
        case .http, .review, .elector, .watch: 4096
        case .lease, .member, .grant, .kubeconfig, .plugin, .credential, .pem, .status, .bucket: 2048
        case .question, .url: 256
        case .timestamp: 40
        }
    }

    /// Feeds the target's parser.
    ///
    /// - Throws: ``Finding`` when it does not do what it promises.
    func run(_ bytes: [UInt8]) throws(Finding) {
        switch self {
        case .http: try HTTPTarget.run(bytes)
        case .review: try ReviewTarget.run(bytes)
        case .lease: try RecordTarget.runLease(bytes)
        case .member: try RecordTarget.runMember(bytes)
        case .elector: try ElectorTarget.run(bytes)
        case .grant: try GrantTarget.run(bytes)
        case .question: try GrantTarget.runQuestion(bytes)
        case .kubeconfig: try KubernetesTarget.runKubeconfig(bytes)
        case .plugin: try KubernetesTarget.runPlugin(bytes)
        case .credential: try GoogleTarget.runCredential(bytes)
        case .url: try GoogleTarget.runURL(bytes)
        case .pem: PEMTarget.run(bytes)
        case .watch: try KubernetesTarget.runWatch(bytes)
        case .status: try KubernetesTarget.runStatus(bytes)
        case .bucket: try GoogleTarget.runBucket(bytes)
        case .timestamp: try RecordTarget.runTimestamp(bytes)
        }
    }
}

/// A promise that a parser has not kept.
struct Finding: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

func require(_ holds: Bool, _ claim: @autoclosure () -> String) throws(Finding) {
    guard holds else { throw Finding(claim()) }
}

extension [UInt8] {
    /// Another number for other bytes, always the same for the same: what decides where an input is cut (FNV-1a).
    var seed: UInt64 { reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 } }

    /// Where this is cut into pieces, none of them empty; which ones depends on the bytes only.
    var pieces: [Range<Int>] {
        var (pieces, start, state) = ([Range<Int>](), 0, seed)
        while start < count {
            state = state &* 0x5851_F42D_4C95_7F2D &+ 0x1405_7B7E_F767_814F
            // Short ones are where the edges are; but a long input should not take many.
            let length = Int(state >> 33) % (state >> 60 < 8 ? 8 : Swift.max(8, count / 2)) + 1
            let end = Swift.min(count, start + length)
            pieces.append(start..<end)
            start = end
        }
        return pieces
    }
}
