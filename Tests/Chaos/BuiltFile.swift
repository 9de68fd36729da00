private import FoundationEssentials
internal import Support

/// What SwiftPM built beside this program's own executable.
enum BuiltFile {
    static func path(_ name: String) throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/\(name)"
        guard FileManager.default.fileExists(atPath: path) else {
            throw ChildProcess.Failure("\(path) is missing; build it: swift build --build-tests, or make chaos")
        }
        return path
    }
}
