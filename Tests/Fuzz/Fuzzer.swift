private import LibFuzzer

/// `leasehold-fuzz TARGET [what libFuzzer takes]`.
@main struct Fuzzer {
    nonisolated(unsafe) private static var target = FuzzTarget.http

    static func main() {
        guard CommandLine.arguments.count > 1, let target = FuzzTarget(rawValue: CommandLine.arguments[1]) else {
            // For scripts: one line a target, and how long its inputs are.
            for target in FuzzTarget.allCases { print(target.rawValue, target.bytesMax) }
            return
        }
        unsafe Self.target = target
        // libFuzzer takes the rest, behind the program's name, which it starts again for some of its work.
        var count = CommandLine.argc - 1
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv + 1
        unsafe arguments?[0] = CommandLine.unsafeArgv[0]
        _ = unsafe LLVMFuzzerRunDriver(&count, &arguments) { start, count in
            let bytes = unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
            do throws(Finding) { try unsafe Fuzzer.target.run(bytes) } catch { fatalError("finding: \(error)") }
            return 0
        }
    }
}
