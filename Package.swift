// swift-tools-version: 6.2
import PackageDescription

/// Every target: Swift 6, warnings are errors, every unsafe step is marked. A section for each function lets the linker
/// leave out what nobody calls, and put together what is used: see `compact`.
let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .unsafeFlags(["-Xfrontend", "-function-sections"], .when(configuration: .release)),
]

/// Only `make simulate` and its like set this: each safety rule can then be broken, to see that the simulation notices.
let breakable: [SwiftSetting] =
    Context.environment["LEASEHOLD_BREAKABLE_RULES"] == "1" ? [.define("BREAKABLE_RULES")] : []

/// How the release binary is linked: what a webhook has in memory counts.
///
/// The functions that it calls lie together (`make link-order` finds out which those are), so that few pages of the
/// program are in memory. Packed, the relocations take 10 KB in place of 1 MB; glibc unpacks them since 2.36, which
/// Debian 12 has. The C++ library is linked statically (`Link/libstdc++.so` sees to that), as Swift's runtime uses little
/// of it.
let compact: [LinkerSetting] = [
    .unsafeFlags(
        [
            "-use-ld=lld", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs",
            "-Xlinker", "--symbol-ordering-file=\(Context.packageDirectory)/Sources/leasehold/Link/order.txt",
            "-Xlinker", "--no-warn-symbol-ordering", "-L", "\(Context.packageDirectory)/Sources/leasehold/Link",
        ], .when(configuration: .release))
]

func module(_ name: String, _ imports: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: imports, swiftSettings: settings)
}

func tests(
    _ name: String, _ imports: [Target.Dependency], exclude: [String] = [], resources: [Resource] = []
) -> Target {
    .testTarget(name: name, dependencies: imports, exclude: exclude, resources: resources, swiftSettings: settings)
}

/// Only `make fuzz` sets this: what lies in Tests/Fuzz is then built for libFuzzer, otherwise as tests that replay the
/// corpus.
let fuzzing = Context.environment["LEASEHOLD_FUZZING"] == "1"

let package = Package(
    name: "leasehold",
    products: [
        .executable(name: "leasehold", targets: ["leasehold"]),
        // For LD_PRELOAD of processes under test; nothing links it.
        .library(name: "leasehold-wall-clock", type: .dynamic, targets: ["CWallClock"]),
    ],
    targets: [
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        // Loads libcurl when it is used, so it is not linked: see its header.
        .target(name: "CCurl"),
        .systemLibrary(name: "CLinux"),

        .target(name: "Election", swiftSettings: settings + breakable),
        module("Platform", ["Election", "CLinux"]),
        module("HTTP", ["Platform", "CCurl", "CLinux"]),
        module("Storage", ["Platform", "HTTP", "TLS", "CLinux"]),
        module("Kubernetes", ["Election", "Platform", "HTTP", "CLinux"]),
        module("TLS", ["Platform", "COpenSSL"]),
        module("Webhook", ["Election", "Platform", "TLS", "CLinux"]),
        module("Controller", ["Election", "Platform", "Storage", "Kubernetes", "TLS"]),
        module("Commands", ["Controller", "Kubernetes", "Storage", "Webhook", "HTTP", "TLS", "CLinux"]),
        .executableTarget(
            name: "leasehold", dependencies: ["Commands"], exclude: ["Link"],
            swiftSettings: settings + breakable, linkerSettings: compact),
        .target(name: "CAllocations"),
        .executableTarget(
            name: "leasehold-bench", dependencies: ["Webhook", "TLS", "COpenSSL", "CAllocations", "CLinux"],
            swiftSettings: settings),

        .target(
            name: "Support", dependencies: ["COpenSSL", "CLinux", "Election", "Platform", "TLS"],
            path: "Tests/Support",
            swiftSettings: settings),
        .executableTarget(
            name: "leasehold-playground", dependencies: ["Support"], path: "Tests/Playground", swiftSettings: settings),
        // Loaded into programs that have no sanitizer, whatever the rest is built with.
        .target(
            name: "CWallClock", path: "Tests/WallClock",
            cSettings: [.unsafeFlags(["-fno-sanitize=address,thread"])]),
        .target(
            name: "Chaos", dependencies: ["Election", "HTTP", "Platform", "TLS", "Support"], path: "Tests/Chaos",
            swiftSettings: settings),
        .executableTarget(
            name: "leasehold-scale", dependencies: ["HTTP", "Kubernetes", "Platform", "Support"], path: "Tests/Scale",
            swiftSettings: settings),
        .executableTarget(
            name: "leasehold-chaos", dependencies: ["Chaos"], path: "Tests/ChaosCommand", swiftSettings: settings),
        tests("ElectionTests", ["Election", "Support"]),
        tests("PlatformTests", ["Platform", "Election"]),
        .target(
            name: "Simulation", dependencies: ["Election", "Support"], path: "Tests/Simulation",
            swiftSettings: settings + breakable),
        .executableTarget(
            name: "leasehold-sim", dependencies: ["Simulation"], path: "Tests/SimulationCommand",
            swiftSettings: settings + breakable),
        tests("SimulationTests", ["Simulation", "Election", "Support"]),
        tests("HTTPTests", ["HTTP", "TLS", "Support"]),
        tests("StorageTests", ["Storage", "Platform", "HTTP", "TLS", "Support"]),
        tests("KubernetesTests", ["Kubernetes", "HTTP", "TLS", "Support"]),
        tests("TLSTests", ["TLS", "COpenSSL", "Support"]),
        .target(
            name: "Reviews", dependencies: ["Webhook", "Support"], path: "Tests/Reviews", swiftSettings: settings),
        tests("WebhookTests", ["Webhook", "Reviews", "Support"], exclude: ["Fixtures", "Go"]),
        tests("ControllerTests", ["Controller", "TLS", "Support"]),
        tests(
            "CommandsTests",
            [
                "Commands", "Controller", "Election", "HTTP", "Kubernetes", "Storage", "TLS", "Webhook", "leasehold",
                "Support",
            ]),
        tests(
            "EndToEndTests",
            [
                "Storage", "Election", "HTTP", "Kubernetes", "Platform", "TLS", "Chaos", "leasehold", "leasehold-chaos",
                "Support",
            ]),
    ],
    swiftLanguageModes: [.v6]
)

let fuzzed: [Target.Dependency] = [
    "Commands", "Election", "HTTP", "Kubernetes", "Platform", "Reviews", "Storage", "TLS", "Webhook",
]
package.targets +=
    fuzzing
    ? [
        .systemLibrary(name: "LibFuzzer", path: "Tests/Fuzz/LibFuzzer"),
        .executableTarget(
            name: "leasehold-fuzz", dependencies: fuzzed + ["LibFuzzer"], path: "Tests/Fuzz",
            exclude: ["Corpus", "LibFuzzer", "CorpusTests.swift"], swiftSettings: settings),
    ]
    : [
        .testTarget(
            name: "FuzzTests", dependencies: fuzzed, path: "Tests/Fuzz",
            exclude: ["Corpus", "LibFuzzer", "Fuzzer.swift"], swiftSettings: settings)
    ]
