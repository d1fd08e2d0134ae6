// swift-tools-version: 6.2

import PackageDescription

let package = Package(
  name: "custom-strategy",
  dependencies: [.package(name: "muster", path: "../..")],
  targets: [
    .executableTarget(
      name: "custom-strategy",
      dependencies: [
        .product(name: "MusterAggregation", package: "muster"), .product(name: "MusterSchema", package: "muster"),
        .product(name: "MusterTensors", package: "muster"),
      ],
      swiftSettings: [.swiftLanguageMode(.v6)])
  ]
)
