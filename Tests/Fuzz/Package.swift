// swift-tools-version: 6.2

import PackageDescription

// The rooms under test are links to the project's own: so this package fetches nothing but swift-crypto, sees what is `package` there, and only
// our code is compiled with the fuzzer's eyes in it. `scripts/fuzz` builds it: libFuzzer's own file is named on its command line.

let house: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let watched: [SwiftSetting] = house + [.unsafeFlags(["-sanitize=fuzzer,address"])]
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")

let package = Package(
  name: "fuzz",
  dependencies: [.package(url: "https://github.com/apple/swift-crypto", from: "4.5.2")],
  targets: [
    .target(name: "CFuzzer"),
    .target(name: "CKernels", cSettings: [.unsafeFlags(["-O2", "-fsanitize=fuzzer-no-link,address"])]),
    .target(name: "MusterSchema", dependencies: [crypto], swiftSettings: watched),
    .target(name: "MusterTensors", dependencies: ["CKernels"], swiftSettings: watched),
    .target(name: "MusterCoordination", dependencies: ["MusterSchema"], swiftSettings: watched),
    .executableTarget(
      name: "fuzz", dependencies: ["CFuzzer", "MusterSchema", "MusterTensors", "MusterCoordination"], swiftSettings: watched,
      linkerSettings: [.unsafeFlags(["-sanitize=address"])]),
  ]
)
