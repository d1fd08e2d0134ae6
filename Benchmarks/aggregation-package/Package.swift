// swift-tools-version: 6.2

import PackageDescription

let package = Package(
  name: "aggregation-benchmark",
  dependencies: [.package(name: "muster", path: "../..")],
  targets: [
    // What the aggregation is compared with: plain loops, compiled for this processor.
    .target(name: "CPlain", cSettings: [.unsafeFlags(["-O3", "-march=native", "-ffast-math"])]),
    .executableTarget(
      name: "aggregation-benchmark",
      dependencies: [
        "CPlain", .product(name: "MusterAggregation", package: "muster"), .product(name: "MusterTensors", package: "muster"),
        .product(name: "MusterSchema", package: "muster"),
      ],
      swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),
  ]
)
