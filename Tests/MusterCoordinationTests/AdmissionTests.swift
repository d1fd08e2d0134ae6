import MusterSchema
import Testing

@testable import MusterParticipation

@Suite("Which nodes a task admits")
struct AdmissionTests {
  private func mismatch(_ requires: Requirements?, _ resources: Resources?, trainers: [String]? = ["built-in"]) -> String? {
    Admission.mismatch(
      trainer: "built-in", model: ModelSpecification(type: "softmax"), where: nil, requires: requires, labels: [:],
      capabilities: trainers.map { Capabilities(trainers: $0) }, resources: resources)
  }

  @Test("what is too little is said with both numbers; what is not reported is not held against a node")
  func requirements() {
    #expect(mismatch(Requirements(memoryMiB: 256), Resources(memoryMiB: 200)) == "memory: 200 MiB available, the task needs 256 MiB")
    #expect(mismatch(Requirements(diskMiB: 256), Resources(diskMiB: 255)) == "disk: 255 MiB free, the task needs 256 MiB")
    #expect(mismatch(Requirements(maxLoad: 2), Resources(load: 2.04)) == "load 2.0 is above the task's limit of 2.0")
    #expect(mismatch(Requirements(minBattery: 50), Resources(battery: 49)) == "battery at 49 %, the task needs 50 %")
    #expect(mismatch(Requirements(minBattery: 50), Resources(battery: 49, mains: true)) == nil)
    #expect(mismatch(Requirements(cores: 4), Resources(cores: 2)) == "2 cores, the task needs 4")
    #expect(mismatch(Requirements(memoryMiB: 256, maxLoad: 1, minBattery: 50, cores: 4), Resources()) == nil)
    #expect(mismatch(Requirements(memoryMiB: 256), nil) == nil && mismatch(nil, nil) == nil)
    #expect(mismatch(nil, nil, trainers: ["b", "a"]) == "has no trainer \"built-in\" (it has: a, b)")
    #expect(mismatch(nil, nil, trainers: nil) == nil)
    #expect(mismatch(Requirements(maxLoad: 1), Resources(load: .infinity))?.contains("inf") == true)
  }
}
