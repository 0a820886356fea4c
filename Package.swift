// swift-tools-version: 6.2
import PackageDescription

/// Everything compiles under the strictest rules the compiler has: an unmarked unsafe use, a C type in an API or a
/// warning of any kind stops the build.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableExperimentalFeature("Lifetimes"),
]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nio = ["NIOCore", "NIOHTTP1", "NIOPosix"].map { Target.Dependency.product(name: $0, package: "swift-nio") }
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

/// Each target may depend only on those listed below it.
let package = Package(
    name: "forwarder",
    products: [.executable(name: "forwarder", targets: ["forwarder"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // Words: one file per verb, one door for output.
        .executableTarget(
            name: "forwarder", dependencies: ["Node", "Lab", argumentParser, logging], swiftSettings: strict),

        // Network namespaces, real tunnels, probes: serves demo, bench and the tests.
        .target(
            name: "Lab", dependencies: ["LinuxNetwork", "LinuxSystem", "PacketParse", "CLinux", system] + nio,
            swiftSettings: strict),

        // Policy: settings, the plan of host changes, the running node, the control socket.
        .target(
            name: "Node",
            dependencies: [
                "AdminEndpoint", "Metrics", "SplitDNS", "LocalAPI", "Cap", "Steering", "DataPlane", "LinuxNetwork",
                "LinuxSystem", "PacketParse",
                logging, system, yams,
            ],
            swiftSettings: strict),

        // HTTP for whoever watches the node.
        .target(
            name: "AdminEndpoint", dependencies: ["LinuxSystem", "PacketParse"] + nio, swiftSettings: strict),

        // Families of metrics, and the formats that scrapers read; imports nothing.
        .target(name: "Metrics", swiftSettings: strict),

        // The stub resolver: which side a name belongs to, relaying, /etc/resolv.conf.
        .target(
            name: "SplitDNS",
            dependencies: ["LocalAPI", "LinuxNetwork", "LinuxSystem", "PacketParse", system] + nio,
            swiftSettings: strict),

        // What tailscaled tells of itself.
        .target(
            name: "LocalAPI", dependencies: ["LinuxNetwork", "LinuxSystem", "PacketParse", system] + nio,
            swiftSettings: strict),

        // The monthly cap: ledger, periods, stages. Time is given to it.
        .target(name: "Cap", dependencies: ["LinuxSystem", system], swiftSettings: strict),

        // The eBPF programs: load, attach, maps.
        .target(
            name: "Steering", dependencies: ["LinuxNetwork", "LinuxSystem", "PacketParse", "CBPF", system],
            swiftSettings: strict),

        // The loop: ports, frames, packet I/O, flow table, bindings, verdicts, statistics.
        .target(
            name: "DataPlane", dependencies: ["LinuxSystem", "PacketParse", "CUring", "CLinux", system],
            swiftSettings: strict),

        // Links, addresses, routes, neighbours, filters as values, over libnl.
        .target(
            name: "LinuxNetwork", dependencies: ["LinuxSystem", "PacketParse", "CNetlink", system],
            swiftSettings: strict),

        // Descriptors, namespaces, capabilities, processes, clocks.
        .target(name: "LinuxSystem", dependencies: ["CLinux", system], swiftSettings: strict),

        // Octets to meaning; imports nothing.
        .target(name: "PacketParse", swiftSettings: strict),

        // C headers and small static inline shims.
        .systemLibrary(name: "CUring", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
        .systemLibrary(name: "CBPF", pkgConfig: "libbpf", providers: [.apt(["libbpf-dev", "libelf-dev"])]),
        .systemLibrary(name: "CNetlink", pkgConfig: "libnl-3.0", providers: [.apt(["libnl-3-dev"])]),
        .systemLibrary(name: "CLinux"),

        .executableTarget(
            name: "Benchmarks", dependencies: ["SplitDNS", "DataPlane", "PacketParse", "LinuxSystem", "CLinux"],
            path: "Tests/Benchmarks", swiftSettings: strict),
        .target(
            name: "TestSupport", dependencies: ["LinuxSystem", "CBPF"], path: "Tests/Support", swiftSettings: strict),
        .testTarget(name: "PacketParseTests", dependencies: ["PacketParse", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "LinuxSystemTests", dependencies: ["LinuxSystem", system], swiftSettings: strict),
        .testTarget(
            name: "LinuxNetworkTests", dependencies: ["LinuxNetwork", "LinuxSystem", "PacketParse", "CBPF"],
            swiftSettings: strict),
        .testTarget(
            name: "DataPlaneTests",
            dependencies: ["DataPlane", "LinuxNetwork", "LinuxSystem", "PacketParse", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "SteeringTests",
            dependencies: [
                "Steering", "Lab", "DataPlane", "LinuxNetwork", "LinuxSystem", "PacketParse", "TestSupport", "CBPF",
                "CLinux", system,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "LedgerWriter", dependencies: ["Cap", "LinuxSystem", "TestSupport"], path: "Tests/LedgerWriter",
            swiftSettings: strict),
        .testTarget(
            name: "CapTests", dependencies: ["Cap", "LedgerWriter", "LinuxSystem", "TestSupport", system],
            swiftSettings: strict),
        .testTarget(name: "MetricsTests", dependencies: ["Metrics"], swiftSettings: strict),
        .testTarget(
            name: "AdminEndpointTests", dependencies: ["AdminEndpoint", "PacketParse"], swiftSettings: strict),
        .testTarget(
            name: "SplitDNSTests",
            dependencies: ["SplitDNS", "LinuxNetwork", "LinuxSystem", "PacketParse", "TestSupport", "CLinux"] + nio,
            swiftSettings: strict),
        .testTarget(
            name: "NodeTests",
            dependencies: ["Node", "Metrics", "Steering", "DataPlane", "LinuxNetwork", "LinuxSystem", system],
            swiftSettings: strict),
        .testTarget(
            name: "ForwarderTests",
            dependencies: [
                "forwarder", "Node", "Metrics", "LocalAPI", "Cap", "Lab", "LinuxNetwork", "LinuxSystem", "PacketParse",
                "TestSupport", logging, yams,
            ],
            swiftSettings: strict),
        .testTarget(name: "LabTests", dependencies: ["Lab", "LinuxNetwork", "LinuxSystem"], swiftSettings: strict),
    ]
)
