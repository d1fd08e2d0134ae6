import FoundationEssentials
import TestSupport
import Testing

/// A Python with numpy and safetensors; `scripts/test` installs one.
private let python = ProcessInfo.processInfo.environment["MUSTER_PYTHON"]

@Suite("NumPy, through the command line", .enabled(if: python != nil, "MUSTER_PYTHON names no Python with numpy and safetensors"))
struct PythonTests {
  @Test("Every rule is what NumPy computes from the formulas in float64, on random, tied, single, tiny, huge and hostile updates")
  func rules() async throws { try await compare(by: "rules.py") }

  @Test("Buffers are the rule's mean of what the updates say, whatever filter, combiner and server optimizer work on the parameters")
  func buffers() async throws { try await compare(by: "buffers.py") }

  private func compare(by name: String) async throws {
    let folder = try TemporaryFolder()
    let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Python/\(name)").path
    let process = try ChildProcess(python ?? "", [script, try program("muster")], log: folder.file("log"))
    let status = try await process.wait(within: .seconds(600))
    #expect(status == 0, "\(process.log)")
  }

  /// Path of a built executable: in MUSTER_EXECUTABLES, otherwise beside this test bundle.
  private func program(_ name: String) throws -> String {
    if let folder = ProcessInfo.processInfo.environment["MUSTER_EXECUTABLES"] { return "\(folder)/\(name)" }
    let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(filePath: bundle).deletingLastPathComponent().appending(path: name).path
  }
}
