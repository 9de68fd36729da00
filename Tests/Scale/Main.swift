private import Glibc

/// `leasehold-scale RESULTS [NAMESPACES ...]`: what so many namespaces cost, as RESULTS.json and RESULTS.svg.
@main
struct Main {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let sizes = arguments.count < 2 ? [10, 100, 1000, 3000, 10_000] : arguments.dropFirst().map { Int($0) ?? 0 }
        guard let results = arguments.first, sizes.allSatisfy({ (1...20_000).contains($0) }), sizes == sizes.sorted()
        else {
            say(
                "leasehold-scale: got \(arguments.joined(separator: " ")); allowed: RESULTS, a file's path without its end, "
                    + "and NAMESPACES ..., ascending numbers from 1 to 20000")
            exit(2)
        }
        do {
            let report = try await ScaleRun().measure(sizes, writingTo: results)
            print(report.text)
            say("Written: \(results).json and \(results).svg")
            fflush(nil)
            exit(report.brokenBounds.isEmpty ? 0 : 1)
        } catch {
            say("leasehold-scale: \(error)")
            exit(1)
        }
    }
}

/// Writes a line to standard error.
func say(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    // Where nobody reads there is nobody to tell.
    _ = unsafe write(2, bytes, bytes.count)
}
