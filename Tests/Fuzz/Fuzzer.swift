import FoundationEssentials
private import LibFuzzer

/// `FUZZ_TARGET=http leasehold-fuzz [what libFuzzer takes]`. The environment says the target, because libFuzzer starts this
/// program again for some of its work, with arguments of its own.
@main struct Fuzzer {
    nonisolated(unsafe) private static var target = FuzzTarget.http

    static func main() {
        guard let target = ProcessInfo.processInfo.environment["FUZZ_TARGET"].flatMap(FuzzTarget.init) else {
            // For scripts: one line a target, and how long its inputs may be.
            for target in FuzzTarget.allCases { print(target.rawValue, target.bytesMax) }
            return
        }
        unsafe Self.target = target
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
        _ = unsafe LLVMFuzzerRunDriver(&count, &arguments) { start, count in
            let bytes = unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
            do throws(Finding) { try unsafe Fuzzer.target.run(bytes) } catch { fatalError("finding: \(error)") }
            return 0
        }
    }
}
