/// Why a body is not an AdmissionReview that can be judged, and where. No strings, so that throwing costs nothing.
package struct ScanError: Error, Hashable, Sendable {
    package enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        case unexpectedByte
        case unexpectedEnd
        case invalidUTF8
        /// A control character inside a string, which JSON wants escaped.
        case controlByte
        case tooDeep
        /// A lone surrogate escape in a value that the guard reads: it stands for no character.
        case loneSurrogate
        /// A field that the guard reads holds a value of another type than the API's.
        case wrongType
        /// A key that a reader ignoring case would take for one that the guard reads.
        case ambiguousKey
        case notAdmissionReview
        case missingUID
        case missingUsername
        /// What an answer repeats is longer than any name, or there are more groups than any user has.
        case tooLarge
    }

    package let kind: Kind
    /// Bytes from the beginning of the body; its length where something is missing.
    package let offset: Int
}

extension ScanError: CustomStringConvertible {
    /// One line for whoever sent the body.
    package var description: String {
        switch kind {
        case .unexpectedByte: "not JSON: unexpected byte at offset \(offset)"
        case .unexpectedEnd where offset == 0: "the body is empty; an AdmissionReview is expected"
        case .unexpectedEnd: "not JSON: the text ends too early, at offset \(offset)"
        case .invalidUTF8: "not JSON: invalid UTF-8 at offset \(offset)"
        case .controlByte: "not JSON: unescaped control character in a string at offset \(offset)"
        case .tooDeep: "nested deeper than \(JSONBytes.depthMax) levels at offset \(offset)"
        case .loneSurrogate: "half of a surrogate pair in a field that decides, in the value at offset \(offset)"
        case .wrongType: "not an admission.k8s.io/v1 AdmissionReview: a field has the wrong type at offset \(offset)"
        case .ambiguousKey: "not an admission.k8s.io/v1 AdmissionReview: misspelt key at offset \(offset)"
        case .notAdmissionReview: "not an admission.k8s.io/v1 AdmissionReview"
        case .missingUID: "request.uid is missing"
        case .missingUsername: "request.userInfo.username is missing"
        case .tooLarge:
            "not an AdmissionReview of any API server: more than \(AdmissionRequest.groupsMax) groups, or a uid, namespace or "
                + "resource of more than \(AdmissionRequest.repeatedBytesMax) bytes, before offset \(offset)"
        }
    }
}
