// swift-tools-version: 6.2

import PackageDescription

// The rooms under test are links to the project's own: so this package sees what is `package` there, and only our code is compiled with the
// fuzzer's eyes in it. The routes need Hummingbird and SQLite, which are most of the time that this takes to build; what of the data plane needs
// a broker is left out. `scripts/fuzz` builds it: libFuzzer's own file is named on its command line.

let house: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let watched: [SwiftSetting] = house + [.unsafeFlags(["-sanitize=fuzzer,address"])]
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let hashTrees: Target.Dependency = .product(name: "HashTreeCollections", package: "swift-collections")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let hummingbirdTLS: Target.Dependency = .product(name: "HummingbirdTLS", package: "hummingbird")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioHTTPTypes: Target.Dependency = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")

let package = Package(
  name: "fuzz",
  dependencies: [
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    .target(name: "CFuzzer"),
    .target(name: "CKernels", cSettings: [.unsafeFlags(["-O2", "-fsanitize=fuzzer-no-link,address"])]),
    .target(name: "CSpawn"),
    .target(name: "MusterGround", dependencies: ["CSpawn"], swiftSettings: watched),
    .target(name: "MusterSchema", dependencies: ["MusterGround", crypto], swiftSettings: watched),
    .target(name: "MusterTensors", dependencies: ["MusterGround", "CKernels"], swiftSettings: watched),
    .target(name: "MusterParticipation", dependencies: ["MusterSchema"], swiftSettings: watched),
    .target(name: "MusterCoordination", dependencies: ["MusterSchema", "MusterParticipation", hashTrees], swiftSettings: watched),
    .target(name: "MusterStorage", dependencies: ["MusterGround", "MusterSchema", grdb, logging], swiftSettings: watched),
    // The HTTP kit of a server, without its broker and its configuration.
    .target(
      name: "MusterServer",
      dependencies: [
        "MusterGround", "MusterSchema", "MusterStorage", hummingbird, hummingbirdCore, hummingbirdTLS, httpTypes, nioCore, nioHTTP1,
        nioHTTPTypes, nioPosix, nioSSL, lifecycle, logging,
      ], exclude: ["HTTP/TrafficMiddleware.swift", "HTTP/ServerRoutes.swift"], sources: ["HTTP", "Limits", "Lists"], swiftSettings: watched),
    .target(
      name: "MusterDataPlane",
      dependencies: [
        "MusterGround", "MusterSchema", "MusterTensors", "MusterCoordination", "MusterStorage", "MusterServer", hummingbird, httpTypes,
        nioCore,
      ], exclude: ["Contributions/CoordinatorLedger.swift", "DataPlaneRoutes.swift"], swiftSettings: watched),
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "CFuzzer", "MusterSchema", "MusterTensors", "MusterParticipation", "MusterCoordination", "MusterStorage", "MusterServer",
        "MusterDataPlane", hummingbird, httpTypes, logging, nioCore,
      ], swiftSettings: watched,
      linkerSettings: [.unsafeFlags(["-sanitize=address"])]),
  ]
)
