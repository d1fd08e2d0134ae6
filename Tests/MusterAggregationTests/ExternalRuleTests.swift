import FoundationEssentials
import Glibc
import MusterAggregation
import MusterSchema
import MusterTensors
import TestSupport
import Testing

@Suite("A program as a combiner")
struct ExternalRuleTests {
  private let round: Round
  private let programs: TemporaryFolder

  init() throws {
    round = try Round()
    programs = try TemporaryFolder()
    try round.base(tensor("w", [1, 1]), tensor("head", [5]))
  }

  private func updates() throws -> [StoredUpdate] {
    [
      try round.update("n/1", weight: 2, tensor("w", [2, 3])), try round.update("n/2", weight: 3, tensor("w", [4, 9])),
      try round.update("n/3", tensor("w", [.infinity, 0])),
    ]
  }

  /// A strategy whose combiner runs this shell script; `$1` is the job's folder.
  private func strategy(
    _ script: String, timeout: Duration = .seconds(20), confinement: ExternalRule.Confinement = .init()
  ) throws -> Strategy {
    let program = try programs.write("#!/bin/sh\nset -e\n\(script)\n", to: "rule")
    var rules = Rules()
    rules.add(external: "mine", command: ["/bin/sh", program], folder: programs.path, timeout: timeout, confinement: confinement)
    return try Strategy(
      .composed(
        filters: [.init("clip", ["norm": 1000])], combiner: .init("mine", ["alpha": 0.5]), optimizer: .init("momentum", ["rate": 0.5])),
      rules: rules)
  }

  private func failure(
    _ script: String, timeout: Duration = .seconds(20), confinement: ExternalRule.Confinement = .init()
  ) throws -> String {
    let error = #expect(throws: AggregationError.self) {
      try round.aggregate(updates(), strategy(script, timeout: timeout, confinement: confinement))
    }
    return error.map { "\($0)" } ?? ""
  }

  @Test("It gets updates that lie in one file with others as files of their own")
  func packed() throws {
    let script = "cp \"$1\"/updates/000001.safetensors result.safetensors"
    let result = try round.aggregate(round.packed(updates()), strategy(script))
    #expect(try round.floats("w") == [2.5, 5])
    #expect(result.accepted == ["n/1", "n/2"])
  }

  @Test("It gets a folder of what the filters left, and its result makes the step")
  func result() throws {
    let script = "cp job.json \(programs.path)/seen.json; cp \"$1\"/updates/000001.safetensors result.safetensors"
    let result = try round.aggregate(updates(), strategy(script))
    #expect(try round.floats("w") == [2.5, 5])
    #expect(try round.floats("head") == [5])
    #expect(result.accepted == ["n/1", "n/2"] && result.refused.map(\.path) == ["n/3"] && result.weight == 5)
    struct Job: Decodable {
      struct Member: Decodable {
        var path: String
        var file: String
        var weight: Double
        var content: String
        var scale: Double
      }
      var rule: String
      var parameters: [String: Double]
      var tensors: [String]
      var updates: [Member]
    }
    let job = try JSON.decode(Job.self, from: Array(Data(contentsOf: URL(filePath: programs.file("seen.json")))))
    #expect(job.rule == "mine" && job.parameters == ["alpha": 0.5] && job.tensors == ["w"])
    #expect(job.updates.map(\.path) == ["n/1", "n/2"] && job.updates.map(\.weight) == [2, 3])
    #expect(job.updates.allSatisfy { $0.content == "parameters" && $0.scale == 1 })
    let left = try FileManager.default.contentsOfDirectory(atPath: programs.path).sorted()
    #expect(left == ["rule", "seen.json"])
  }

  @Test("It can refuse updates, with a reason")
  func refuse() throws {
    let script = """
      echo '[{"path": "n/2", "reason": "too far"}]' > refused.json
      cp updates/000000.safetensors result.safetensors
      """
    let result = try round.aggregate(updates(), strategy(script))
    #expect(result.accepted == ["n/1"])
    #expect(result.refused.first == Refusal(path: "n/2", reason: "refused by mine: \"too far\""))
  }

  @Test("Whatever goes wrong with it is said")
  func failures() throws {
    #expect(try failure("echo 'no such luck' >&2; exit 3").contains("mine failed: it ended with exit code 3: \"no such luck\""))
    #expect(try failure("kill -9 $$").contains("it ended with signal 9"))
    #expect(try failure("true").contains("it wrote no result.safetensors"))
    #expect(try failure("cp \(round.folder.file("n-3")) result.safetensors").contains("its result holds an infinity or a NaN in \"w\""))
    #expect(try failure("sleep 60", timeout: .milliseconds(200)).contains("it did not finish within"))
    #expect(try failure("echo '{}' > refused.json").contains("refused.json is not valid"))
    let head = try round.folder.write(SafetensorsWriter.bytes([tensor("head", [1])]), to: "other")
    #expect(try failure("cp \(head) result.safetensors").contains("lacks tensor \"w\""))
    #expect(try FileManager.default.contentsOfDirectory(atPath: programs.path) == ["rule"])
  }

  /// A launcher that sets the kernel's limits: `muster exec-trainer` of the built executable.
  private func limited(_ limits: [String]) throws -> [String] {
    [try Executable.find("muster"), "exec-trainer"] + limits + ["--parent", "\(getpid())", "--"]
  }

  @Test("It gets nothing of its caller's environment, and what its configuration gives it")
  func environment() throws {
    setenv("MUSTER_BROKER_PASSWORD", "secret", 1)
    defer { unsetenv("MUSTER_BROKER_PASSWORD") }
    let script = "env > \(programs.path)/seen; cp \"$1\"/updates/000001.safetensors result.safetensors"
    _ = try round.aggregate(updates(), strategy(script, confinement: .init(environment: ["RULE_MODE": "strict"])))
    let seen = try String(contentsOfFile: programs.file("seen"), encoding: .utf8)
    #expect(!seen.contains("secret") && !seen.contains("MUSTER_BROKER"))
    #expect(seen.contains("RULE_MODE=strict") && seen.contains("PATH="))
  }

  @Test("It is under the limits of a trainer: memory, files, processes, output, disk")
  func limits() throws {
    let script = "ulimit -d; ulimit -f; ulimit -n; grep NoNewPrivs /proc/self/status; exit 1"
    let launcher = try limited(["--memory-mib", "500", "--file-mib", "3", "--open-files", "100"])
    let log = "\(programs.path)/limits"
    _ = try failure("(\(script)) > \(log)", confinement: .init(launcher: launcher))
    let seen = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map { $0.replacing("\t", with: " ") }
    #expect(seen == ["512000", "6144", "100", "NoNewPrivs: 1"])
    #expect(try failure("yes", confinement: .init(outputMiB: 1)).contains("it printed more than 1 MiB"))
    let filling = "dd if=/dev/zero of=big bs=1M count=3 2> /dev/null; sleep 60"
    #expect(try failure(filling, confinement: .init(diskMiB: 2)).contains("it stored more than 2 MiB in its folder"))
    let missing = try failure("true", confinement: .init(launcher: try limited(["--user", "nobody-at-all"])))
    #expect(missing.contains("exec-trainer: cannot find the user"), "\(missing)")
  }

  @Test("What it leaves running in another session ends with it, and cannot harm who reads its result")
  func leftovers() async throws {
    let script = """
      setsid sh -c 'echo $$ > \(programs.path)/pid; sleep 1000' &
      while [ ! -s \(programs.path)/pid ]; do sleep 0.01; done
      cp updates/000001.safetensors result.safetensors
      """
    _ = try round.aggregate(updates(), strategy(script))
    let pid = try #require(Int32(String(contentsOfFile: programs.file("pid"), encoding: .utf8).split(separator: "\n").first ?? ""))
    #expect(try await eventually { kill(pid, 0) != 0 || !Self.isRunning(pid) })
  }

  private static func isRunning(_ pid: Int32) -> Bool {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return text.split(separator: ")").last?.split(separator: " ").first != "Z"
  }

  @Test("A result or a list of refusals that is a link or a pipe is refused, and nobody waits for it")
  func notFiles() throws {
    let pipe = try failure("mkfifo refused.json; cp updates/000000.safetensors result.safetensors")
    #expect(pipe.contains("refused.json is not a regular file"), "\(pipe)")
    #expect(try failure("ln -s updates/000000.safetensors result.safetensors").contains("result.safetensors is not a regular file"))
  }

  @Test("Regions do not aggregate for it")
  func regions() throws {
    #expect(try strategy("true").isDecomposable == false)
  }
}
