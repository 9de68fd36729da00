import FoundationEssentials
import Support
import Testing

/// The shell scripts and the Makefile's recipes. All run with pipefail.
struct ScriptTests {
    /// A program behind a pipe that can end before its input does.
    private static func stopsEarly(_ line: Substring) -> Bool {
        let early = /\|\s*(head\b|grep\s+(-\w*[qm]|--quiet|--max-count)|(awk|perl)\b[^|]*\bexit\b|sed\b[^|]*\bq\b)/
        return line.contains(early)
    }

    /// Whoever still writes to such a program then ends by SIGPIPE, now and then, and pipefail has the script end with 141.
    @Test func `no script pipes into a program that stops early`() throws {
        #expect(Self.stopsEarly("list | head -n 1"))
        #expect(Self.stopsEarly("list | awk '$1 == \"libcurl.so.4\" { print $NF; exit }'"))
        #expect(Self.stopsEarly("list | grep -aq word"))
        #expect(!Self.stopsEarly("list | tail -n 1 | awk '{ print }' || exit"))

        let scripts = try FileManager.default.contentsOfDirectory(atPath: ControlPlane.projectFile("scripts"))
        #expect(scripts.count > 5)
        for file in scripts.map({ "scripts/\($0)" }) + ["Makefile"] {
            let text = try String(contentsOfFile: ControlPlane.projectFile(file), encoding: .utf8)
            for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            where Self.stopsEarly(line) && !line.hasSuffix("|| true") {
                Issue.record("\(file):\(index + 1): \(line)")
            }
        }
    }
}
