private import Glibc

/// What `make bench` measures in a process of its own; not shipped. Each subcommand prints one JSON object.
///
///     leasehold-bench scan FILE
///     leasehold-bench load PORT PATH FILE CERTIFICATE CONNECTIONS RATE SECONDS SEED
///     leasehold-bench allocations FILE...
@main enum Main {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            switch arguments.first {
            case "scan" where arguments.count == 2:
                try ScannerRate.measure(path: arguments[1])
            case "load" where arguments.count == 9:
                guard let port = UInt16(arguments[1]), let connections = Int(arguments[5]), connections > 0,
                    let rate = Double(arguments[6]), rate > 0, let seconds = Double(arguments[7]), seconds > 0,
                    let seed = UInt64(arguments[8])
                else { throw Failure("PORT, CONNECTIONS, RATE, SECONDS and SEED are numbers") }
                let load = try Load(
                    port: port, path: arguments[2], body: contents(of: arguments[3]), certificate: arguments[4],
                    connections: connections)
                try load.run(rate: rate, seconds: seconds, seed: seed)
            case "allocations" where arguments.count >= 2:
                try Allocations.count(try arguments.dropFirst().map(contents))
            default:
                throw Failure("usage: leasehold-bench scan FILE, load PORT PATH FILE ..., or allocations FILE...")
            }
        } catch {
            let line = "leasehold-bench: \(error)\n"
            _ = unsafe write(STDERR_FILENO, line, line.utf8.count)
            exit(1)
        }
    }

    static func contents(of path: String) throws(Failure) -> [UInt8] {
        guard let file = unsafe fopen(path, "r") else { throw Failure("cannot open \(path): \(Failure.last())") }
        defer { unsafe fclose(file) }
        var contents: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = unsafe fread(&chunk, 1, chunk.count, file)
            contents.append(contentsOf: chunk[..<count])
            if count < chunk.count { break }
        }
        guard unsafe ferror(file) == 0 else { throw Failure("cannot read \(path): \(Failure.last())") }
        return contents
    }
}

/// Why nothing was measured.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    static func last() -> String { unsafe String(cString: strerror(errno)) }
}
