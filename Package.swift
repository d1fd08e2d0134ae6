// swift-tools-version: 6.2

import PackageDescription

/// What every target of ours is compiled with.
let house: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

/// Optimized in debug builds, too: tests train real models, and search thousands of histories for faults.
let optimized: [SwiftSetting] = house + [.unsafeFlags(["-O"], .when(configuration: .debug))]

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let asn1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")
let configuration: Target.Dependency = .product(name: "Configuration", package: "swift-configuration")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let hashTrees: Target.Dependency = .product(name: "HashTreeCollections", package: "swift-collections")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let hummingbirdTLS: Target.Dependency = .product(name: "HummingbirdTLS", package: "hummingbird")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioHTTPTypes: Target.Dependency = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

let package = Package(
  name: "muster",
  products: [
    .library(name: "MusterSchema", targets: ["MusterSchema"]),
    .library(name: "MusterTensors", targets: ["MusterTensors"]),
    .library(name: "MusterAggregation", targets: ["MusterAggregation"]),
    .library(name: "MusterTrainers", targets: ["MusterTrainers"]),
    .executable(name: "muster", targets: ["muster"]),
    .executable(name: "muster-central", targets: ["muster-central"]),
    .executable(name: "muster-region", targets: ["muster-region"]),
    .executable(name: "muster-agent", targets: ["muster-agent"]),
    .executable(name: "muster-train", targets: ["muster-train"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
    .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(
      url: "https://github.com/apple/swift-configuration", from: "1.4.0",
      traits: ["JSON", "YAML", "CommandLineArguments"]),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
  ],
  targets: [
    .systemLibrary(name: "CMosquitto", providers: [.apt(["libmosquitto-dev"])]),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "COpenBLAS", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CSpawn"),
    .target(name: "COnnxRuntime", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
    .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),

    .target(name: "MusterGround", dependencies: ["CSpawn"], swiftSettings: house),
    .target(name: "MusterSchema", dependencies: ["MusterGround", crypto], swiftSettings: house),
    .target(name: "MusterIdentity", dependencies: ["MusterGround", "MusterSchema", crypto], swiftSettings: house),
    .target(
      name: "MusterEnrolment", dependencies: ["MusterGround", "MusterSchema", "MusterIdentity", "MusterTransfer", logging],
      swiftSettings: house),
    .target(
      name: "MusterAuthority", dependencies: ["MusterGround", "MusterSchema", "MusterIdentity", crypto, asn1, hashTrees, x509],
      swiftSettings: house),
    .target(name: "MusterTensors", dependencies: ["MusterGround", "CKernels"], swiftSettings: optimized),
    .target(name: "MusterParticipation", dependencies: ["MusterSchema"], swiftSettings: optimized),
    .target(name: "MusterCoordination", dependencies: ["MusterSchema", "MusterParticipation", hashTrees], swiftSettings: optimized),
    .target(name: "MusterShell", dependencies: ["MusterSchema", "MusterParticipation", "MusterCoordination"], swiftSettings: optimized),
    .target(
      name: "MusterAggregation", dependencies: ["MusterGround", "MusterSchema", "MusterTensors", "CSpawn"], swiftSettings: optimized),
    .target(name: "MusterModels", dependencies: ["COpenBLAS", "CZlib"], swiftSettings: optimized),
    .target(
      name: "MusterTrainers", dependencies: ["MusterGround", "MusterSchema", "MusterTensors", "CSpawn", logging],
      swiftSettings: house),
    .target(
      name: "MusterOnnx", dependencies: ["MusterModels", "MusterTrainers", "MusterTensors", "MusterSchema", "COnnxRuntime"],
      swiftSettings: house),
    .target(name: "MusterLog", dependencies: [logging], swiftSettings: house),
    .target(name: "MusterMQTT", dependencies: ["MusterGround", "CMosquitto", "CSpawn", logging], swiftSettings: house),
    .target(name: "MusterTransfer", dependencies: ["MusterGround", "MusterSchema", "CCurl", logging], swiftSettings: house),
    .target(name: "MusterStorage", dependencies: ["MusterGround", "MusterSchema", grdb, logging], swiftSettings: house),
    .target(
      name: "MusterServer",
      dependencies: [
        "MusterGround", "MusterSchema", "MusterIdentity", "MusterParticipation", "MusterCoordination", "MusterShell", "MusterStorage",
        "MusterLog", "MusterMQTT", configuration, hummingbird, hummingbirdCore, hummingbirdTLS, httpTypes, lifecycle, unixSignals, logging,
        nioCore, nioHTTP1, nioHTTPTypes, nioPosix, nioSSL, systemPackage, yams,
      ], swiftSettings: house),
    .target(
      name: "MusterDataPlane",
      dependencies: [
        "MusterGround", "MusterSchema", "MusterTensors", "MusterCoordination", "MusterStorage", "MusterServer", hummingbird, httpTypes,
        nioCore,
      ], swiftSettings: house),
    .target(
      name: "MusterCentral",
      dependencies: [
        "MusterGround", "MusterSchema", "MusterTensors", "MusterParticipation", "MusterCoordination", "MusterShell", "MusterAggregation",
        "MusterTrainers",
        "MusterStorage", "MusterIdentity", "MusterEnrolment", "MusterAuthority",
        "MusterServer", "MusterDataPlane", "MusterTaskFiles", "MusterTransfer", hummingbird, hummingbirdCore, httpTypes,
        nioCore,
        lifecycle, logging,
      ], swiftSettings: house),
    .target(
      name: "MusterRegion",
      dependencies: [
        "MusterGround", "MusterSchema", "MusterTensors", "MusterParticipation", "MusterCoordination", "MusterShell", "MusterAggregation",
        "MusterStorage",
        "MusterServer",
        "MusterDataPlane", "MusterIdentity", "MusterEnrolment", "MusterTransfer", "MusterMQTT",
        hummingbird, httpTypes, logging,
      ], swiftSettings: house),
    .target(
      name: "MusterAgent",
      dependencies: [
        "MusterGround", "MusterSchema", "MusterIdentity", "MusterEnrolment", "MusterTensors", "MusterParticipation", "MusterTrainers",
        "MusterMQTT", "MusterTransfer", logging,
      ], swiftSettings: house),
    .target(name: "MusterTaskFiles", dependencies: ["MusterSchema", yams], swiftSettings: house),
    .target(
      name: "MusterSimulation", dependencies: ["MusterSchema", "MusterParticipation", "MusterCoordination", "MusterShell"],
      swiftSettings: optimized),
    .target(
      name: "MusterLoad",
      dependencies: ["MusterGround", "MusterSchema", "MusterTensors", "MusterParticipation", "MusterMQTT", "MusterTransfer", "CSpawn"],
      swiftSettings: house),
    .target(
      name: "MusterCommands",
      dependencies: [
        "MusterSchema", "MusterTaskFiles", "MusterLoad", "MusterSimulation", "MusterTensors", "MusterAggregation", "MusterTrainers",
        "MusterTransfer", "MusterMQTT", argumentParser, subprocess, systemPackage, logging,
      ], swiftSettings: house),

    .executableTarget(
      name: "machine-benchmark", dependencies: ["MusterSchema", "MusterParticipation", "MusterCoordination", "MusterShell"],
      path: "Benchmarks/machines-program", swiftSettings: house),
    .executableTarget(name: "muster", dependencies: ["MusterCommands", "MusterTrainers"], swiftSettings: house),
    .executableTarget(
      name: "muster-central", dependencies: ["MusterCentral", "MusterServer", "MusterTrainers"],
      swiftSettings: house),
    .executableTarget(
      name: "muster-region", dependencies: ["MusterRegion", "MusterServer"], swiftSettings: house),
    .executableTarget(
      name: "muster-agent", dependencies: ["MusterAgent", "MusterLog", "MusterTrainers", argumentParser, logging], swiftSettings: house,
      // Its symbol table is of no use to anybody and costs a megabyte on every device; functions that are the same twice cost another part of one.
      linkerSettings: [.unsafeFlags(["-Xlinker", "--no-export-dynamic", "-Xlinker", "--icf=safe"], .when(configuration: .release))]),
    .executableTarget(
      name: "muster-train",
      dependencies: ["MusterModels", "MusterOnnx", "MusterTrainers", "MusterTensors", "MusterSchema", argumentParser],
      swiftSettings: house),

    .target(name: "TestSupport", dependencies: [logging], path: "Tests/TestSupport", swiftSettings: house),
    .testTarget(name: "MusterGroundTests", dependencies: ["MusterGround", "TestSupport"], swiftSettings: house),
    .testTarget(name: "MusterSchemaTests", dependencies: ["MusterSchema"], swiftSettings: house),
    .testTarget(name: "MusterIdentityTests", dependencies: ["MusterIdentity", "MusterSchema", "TestSupport"], swiftSettings: house),
    .testTarget(
      name: "MusterAuthorityTests", dependencies: ["MusterAuthority", "MusterIdentity", "MusterSchema", "TestSupport"],
      swiftSettings: house),
    .testTarget(
      name: "MusterTensorsTests", dependencies: ["MusterTensors", "CKernels", "TestSupport"], exclude: ["Python"], swiftSettings: house),
    .testTarget(
      name: "MusterSimulationTests", dependencies: ["MusterSimulation", "MusterParticipation", "MusterCoordination", "MusterSchema"],
      exclude: ["Digests"],
      swiftSettings: house),
    .testTarget(
      name: "MusterShellTests", dependencies: ["MusterGround", "MusterShell", "MusterParticipation", "MusterCoordination", "MusterSchema"],
      swiftSettings: house),
    .testTarget(
      name: "MusterCoordinationTests", dependencies: ["MusterParticipation", "MusterCoordination", "MusterSchema", "TestSupport"],
      swiftSettings: house),
    .testTarget(
      name: "MusterAggregationTests", dependencies: ["MusterAggregation", "MusterTensors", "MusterSchema", "TestSupport", "muster"],
      exclude: ["Python"], swiftSettings: house),
    .testTarget(name: "MusterModelsTests", dependencies: ["MusterModels"], swiftSettings: house),
    .testTarget(
      name: "MusterTrainersTests",
      dependencies: ["MusterGround", "MusterTrainers", "MusterTensors", "MusterSchema", "muster-train", "muster-agent", logging],
      swiftSettings: house),
    .testTarget(
      name: "MusterLogTests", dependencies: ["MusterLog", "TestSupport", "muster-agent", logging], swiftSettings: house),
    .testTarget(name: "MusterMQTTTests", dependencies: ["MusterMQTT", "TestSupport"], swiftSettings: house),
    .testTarget(
      name: "MusterTransferTests", dependencies: ["MusterGround", "MusterTransfer", "MusterSchema", "TestSupport"], swiftSettings: house),
    .testTarget(
      name: "MusterStorageTests",
      dependencies: ["MusterGround", "MusterStorage", "MusterCoordination", "MusterSimulation", "MusterSchema", "TestSupport", grdb],
      swiftSettings: house),
    .testTarget(
      name: "MusterServerTests",
      dependencies: [
        "MusterGround", "MusterServer", "MusterCentral", "MusterRegion", "MusterParticipation", "MusterCoordination", "MusterShell",
        "MusterAggregation", "MusterStorage", "MusterTensors", "MusterTransfer", "MusterMQTT", "MusterSchema", "TestSupport", hummingbird,
        httpTypes, logging,
      ], swiftSettings: house),
    .testTarget(
      name: "MusterDataPlaneTests",
      dependencies: [
        "MusterGround", "MusterDataPlane", "MusterServer", "MusterCoordination", "MusterSchema", "MusterStorage", "MusterTensors",
        "MusterTransfer", "TestSupport", hummingbird, httpTypes, nioCore, lifecycle, logging,
      ], swiftSettings: house),
    .testTarget(
      name: "MusterAgentTests",
      dependencies: [
        "MusterGround", "MusterAgent", "MusterParticipation", "MusterCoordination", "MusterDataPlane", "MusterServer", "MusterMQTT",
        "MusterSchema", "MusterStorage", "MusterTensors", "MusterTrainers", "TestSupport", "muster-agent", hummingbird, lifecycle, logging,
      ], swiftSettings: house),
    .testTarget(name: "MusterTaskFilesTests", dependencies: ["MusterTaskFiles", "MusterSchema"], swiftSettings: house),
    .testTarget(
      name: "MusterCommandsTests",
      dependencies: ["MusterCommands", "MusterTaskFiles", "MusterLoad", "MusterSchema", "MusterTransfer", "TestSupport", argumentParser],
      swiftSettings: house),
    .testTarget(
      name: "IntegrationTests", dependencies: ["MusterLoad", "MusterMQTT", "MusterSchema", "TestSupport", logging], swiftSettings: house),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "MusterAgent", "MusterSchema", "MusterIdentity", "MusterEnrolment", "MusterTensors", "MusterTransfer", "TestSupport", "muster",
        "muster-central", "muster-region", "muster-agent", "muster-train", logging,
      ], swiftSettings: house),
  ]
)
