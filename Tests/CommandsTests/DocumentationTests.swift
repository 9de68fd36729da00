import FoundationEssentials
import Testing

@testable import Commands

/// What the documents say that the program can be asked about.
struct DocumentationTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let pages = [
        "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/operations.md", "docs/security.md",
        "docs/comparison.md", "docs/api-server-identity.md", "docs/protocol.md", "docs/performance.md",
        "docs/google-cloud-storage.md",
    ]

    private static func text(_ page: String) throws -> String {
        try String(contentsOf: root.appending(path: page), encoding: .utf8)
    }

    // MARK: Flags

    /// A flag as one command takes it: `--name VALUE`, and its default. What it means is for the page to say in its own words.
    private struct Row: Hashable, CustomStringConvertible {
        let title: String
        let command: String
        let preset: String
        var help = ""

        /// As the page has it, to be put there.
        var description: String { "\n| `\(title)` | \(command) | \(preset) | \(help) |" }

        static func == (one: Row, other: Row) -> Bool {
            (one.title, one.command, one.preset) == (other.title, other.command, other.preset)
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(title)
            hasher.combine(command)
        }
    }

    private static func rows<C: Command>(_ command: C.Type) -> [Row] {
        C.flags.flatMap(\.flags).map { flag in
            Row(
                title: "--\(flag.name)" + (flag.placeholder.map { " \($0)" } ?? ""), command: C.name,
                preset: flag.isRequired ? "required" : flag.defaultText ?? "", help: flag.help)
        }
    }

    /// The rows of the tables under "## Flags", each once for each command that its second cell names.
    private static func documentedRows() throws -> [Row] {
        let lines = try text("docs/operations.md").split(separator: "\n")
        let section = lines.drop { $0 != "## Flags" }.dropFirst().prefix { !$0.hasPrefix("## ") }
        return section.filter { $0.hasPrefix("| `--") }.flatMap { line in
            let cells = line.split(separator: " | ", maxSplits: 3, omittingEmptySubsequences: false)
            // An empty cell is two spaces, of which the separators have taken one or both.
            let preset = cells.count > 2 ? cells[2].drop { $0 == " " } : ""
            return cells[1].split(separator: ",").map { command in
                Row(
                    title: String(cells[0].dropFirst(3).dropLast()), command: String(command.drop { $0 == " " }),
                    preset: String(preset))
            }
        }
    }

    @Test func `the operations page has every flag of every command with its default, and no other`() throws {
        let documented = try Self.documentedRows()
        let actual = Program.commands.flatMap { Self.rows($0) }
        #expect(actual.filter { !documented.contains($0) } == [], "missing under \"## Flags\"")
        #expect(documented.filter { !actual.contains($0) } == [], "no such flag, or another default")
        #expect(documented.count == Set(documented).count, "a flag stands there twice")
    }

    @Test func `the readme names every command`() throws {
        let readme = try Self.text("README.md")
        for command in Program.commands where command.name != "help" {
            #expect(readme.contains("`leasehold \(command.name)"), "\(command.name) is missing")
        }
    }

    // MARK: Links

    @Test(arguments: pages) func `every link to another page or heading leads somewhere`(page: String) throws {
        let folder = Self.root.appending(path: page).deletingLastPathComponent()
        for link in Self.links(in: try Self.text(page)) where !link.hasPrefix("https://") {
            let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            let file = parts[0].isEmpty ? Self.root.appending(path: page) : folder.appending(path: String(parts[0]))
            #expect(FileManager.default.fileExists(atPath: file.path), "\(link)")
            guard parts.count == 2, let target = try? String(contentsOf: file, encoding: .utf8) else { continue }
            #expect(Self.anchors(in: target).contains(String(parts[1])), "\(link)")
        }
    }

    /// What stands in `](...)`.
    private static func links(in text: String) -> [String] {
        var links: [String] = []
        var rest = text[...]
        while let start = rest.firstRange(of: "](") {
            rest = rest[start.upperBound...]
            links.append(String(rest.prefix { $0 != ")" && $0 != "\n" }))
        }
        return links
    }

    /// The headings as their links spell them: small letters, hyphens for spaces, and nothing but letters and digits.
    private static func anchors(in text: String) -> Set<String> {
        Set(
            text.split(separator: "\n").filter { $0.hasPrefix("#") }.map { line in
                let heading = line.drop { $0 == "#" }.dropFirst().lowercased()
                return String(
                    heading.compactMap { $0 == " " ? "-" : $0.isLetter || $0.isNumber || $0 == "-" ? $0 : nil })
            })
    }
}
