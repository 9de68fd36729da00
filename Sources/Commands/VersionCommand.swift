private import Platform
private import TLS

/// `leasehold version`: what runs here, and with which OpenSSL.
enum VersionCommand: Command {
    enum Output: String, CaseIterable {
        case text
        case json
    }

    struct Options: FlagOptions {
        var output = Output.text
    }

    static let name = "version"
    static let summary = "prints the version, and that of OpenSSL"
    static var flags: [FlagGroup<Options>] {
        [FlagGroup("Output", [Flag("output", \.output, .choice("FORMAT"), "For people or for programs.")])]
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        let openSSL = openSSLVersion()
        switch options.output {
        case .text:
            console.out("leasehold \(Program.version)\n\(openSSL)\n")
        case .json:
            let fields = [("version", Program.version), ("openssl", openSSL)]
            console.out("{\(fields.map { "\(Log.quoted($0)):\(Log.quoted($1))" }.joined(separator: ","))}\n")
        }
        return ExitCode.done
    }
}
