private import CCurl
private import COpenSSL
private import Platform

/// `leasehold version`: what runs here, with the libraries that the system linked in.
enum VersionCommand: Command {
    enum Output: String, CaseIterable {
        case text
        case json
    }

    struct Options: FlagOptions {
        var output = Output.text
    }

    static let name = "version"
    static let summary = "prints the version, and those of the libraries in use"
    static var flags: [FlagGroup<Options>] {
        [FlagGroup("Output", [Flag("output", \.output, .choice("FORMAT"), "For people or for programs.")])]
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        // Asked of the libraries at run time: what the headers said at build time may be older.
        let openSSL = unsafe String(cString: OpenSSL_version(OPENSSL_VERSION))
        let curl = unsafe String(cString: curl_version())
        switch options.output {
        case .text:
            console.out("leasehold \(Program.version)\n\(openSSL)\n\(curl)\n")
        case .json:
            let fields = [("version", Program.version), ("openssl", openSSL), ("libcurl", curl)]
            console.out("{\(fields.map { "\(Log.quoted($0)):\(Log.quoted($1))" }.joined(separator: ","))}\n")
        }
        return ExitCode.done
    }
}
