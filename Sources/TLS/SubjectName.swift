private import COpenSSL
private import Glibc

/// One name of a certificate's owner (subjectAltName, RFC 5280, section 4.2.1.6).
package enum SubjectName: Hashable, Sendable {
    /// A host name in ASCII; `*.` may stand before it.
    case dns(String)
    /// An IPv4 or IPv6 address in the usual notation.
    case ip(String)
}

extension SubjectName: CustomStringConvertible {
    package var description: String {
        switch self {
        case .dns(let name), .ip(let name): name
        }
    }
}

extension SubjectName {
    /// Whether `text` is an IP address rather than a host name.
    static func isAddress(_ text: String) -> Bool {
        var address = in6_addr()
        return unsafe inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1
    }

    /// Adds `names` to a certificate that is being made.
    static func add(_ names: [SubjectName], to certificate: OpaquePointer) throws(TLSError) {
        guard let list = unsafe shim_sk_GENERAL_NAME_new_null() else { throw ErrorQueue.failure("list names") }
        defer { unsafe GENERAL_NAMES_free(list) }
        for name in names {
            let item = try unsafe name.generalName()
            guard unsafe shim_sk_GENERAL_NAME_push(list, item) > 0 else {
                unsafe GENERAL_NAME_free(item)
                throw ErrorQueue.failure("list names")
            }
        }
        guard
            unsafe X509_add1_ext_i2d(
                certificate, NID_subject_alt_name, UnsafeMutableRawPointer(list), 0, UInt(X509V3_ADD_DEFAULT)) == 1
        else { throw ErrorQueue.failure("add the names to a certificate") }
    }

    /// The DNS names and addresses of a certificate; names of other kinds are left out.
    static func all(of certificate: OpaquePointer) -> [SubjectName] {
        guard let extensionValue = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else {
            ErrorQueue.clear()
            return []
        }
        let list = OpaquePointer(extensionValue)
        defer { unsafe GENERAL_NAMES_free(list) }
        return (0..<max(0, unsafe shim_sk_GENERAL_NAME_num(list))).compactMap { index in
            unsafe SubjectName(shim_sk_GENERAL_NAME_value(list, index))
        }
    }

    private init?(_ name: UnsafeMutablePointer<GENERAL_NAME>?) {
        var kind: Int32 = 0
        guard let value = unsafe GENERAL_NAME_get0_value(name, &kind) else { return nil }
        let string = unsafe value.assumingMemoryBound(to: ASN1_STRING.self)
        let bytes = unsafe UnsafeBufferPointer(
            start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
        switch kind {
        case GEN_DNS:
            self = unsafe .dns(String(decoding: bytes, as: UTF8.self))
        case GEN_IPADD where bytes.count == 4 || bytes.count == 16:
            var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            let family = bytes.count == 4 ? AF_INET : AF_INET6
            _ = unsafe inet_ntop(family, bytes.baseAddress!, &text, socklen_t(text.count))
            self = .ip(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        default:
            return nil
        }
    }

    // Built field by field: OpenSSL's text form ("DNS:a,IP:b") would let a name with a comma add others.
    private func generalName() throws(TLSError) -> UnsafeMutablePointer<GENERAL_NAME> {
        let (kind, value): (Int32, UnsafeMutablePointer<ASN1_STRING>?)
        switch self {
        case .dns(let name):
            let isHostName =
                !name.isEmpty && name.utf8.count <= 253
                && name.utf8.allSatisfy {
                    switch $0 {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "*"),
                        UInt8(ascii: "_"):
                        true
                    default: false
                    }
                }
            guard isHostName else {
                throw TLSError.invalid("the DNS name \"\(name)\"", problem: "is not a host name in ASCII")
            }
            unsafe (kind, value) = (GEN_DNS, ASN1_IA5STRING_new())
            guard unsafe ASN1_STRING_set(value, name, Int32(name.utf8.count)) == 1 else {
                unsafe ASN1_STRING_free(value)
                throw ErrorQueue.failure("keep a DNS name")
            }
        case .ip(let address):
            unsafe (kind, value) = (GEN_IPADD, a2i_IPADDRESS(address))
            guard unsafe value != nil else {
                ErrorQueue.clear()
                throw TLSError.invalid("the address \"\(address)\"", problem: "is neither IPv4 nor IPv6")
            }
        }
        guard let item = unsafe GENERAL_NAME_new() else {
            unsafe ASN1_STRING_free(value)
            throw ErrorQueue.failure("keep a name")
        }
        unsafe GENERAL_NAME_set0_value(item, kind, value)
        return unsafe item
    }
}
