import FoundationEssentials
import MusterSimulation
import Testing

@Suite("The search for faults")
struct FaultSearchTests {
  @Test("500 worlds full of faults break no promise", arguments: 0..<5)
  func seeds(hundred: UInt64) throws {
    let summary = FaultSearch.run(seeds: (100 * hundred + 1)...(100 * hundred + 100))
    #expect(summary.seeds == 100)
    #expect(summary.violations.isEmpty, "\(summary.violations.map { "\($0.seed): \($0.violation)" })")
    #expect(summary.completed > 60, "most tasks of such worlds complete: \(summary)")
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Digests/faults.txt")
    let recorded = try #require(SeedDigests(try String(contentsOf: file, encoding: .utf8)))
    #expect(recorded.differing(from: summary.histories) == [], "see Digests/README.md")
  }

  @Test("recorded digests are read as they were written, and a history that differs is named")
  func digests() throws {
    let histories = Dictionary(uniqueKeysWithValues: (1...23).map { (UInt64($0), UInt64($0) &* 0x9E37_79B9_7F4A_7C15) })
    let digests = try #require(SeedDigests(histories))
    #expect(digests.count == 23 && SeedDigests(digests.text) == digests && digests.text.split(separator: "\n").count == 3)
    #expect(digests.differing(from: histories) == [])
    #expect(digests.differing(from: [4: 1, 7: 7 &* 0x9E37_79B9_7F4A_7C15, 9: 2, 24: 3]) == [4, 9])
    #expect(SeedDigests([1: 1, 3: 3]) == nil && SeedDigests("") == nil && SeedDigests("0000000g") == nil && SeedDigests("123") == nil)
  }

  @Test("one seed is one history, in this process and in another one")
  func sameHistory() async throws {
    let seeds: [UInt64] = [3, 64, 91, 128, 500]
    func digests() -> String { seeds.map { String(FaultSearch.run(seed: $0).digest, radix: 16) }.joined(separator: " ") }
    let here = digests()
    #expect(digests() == here)
    // Dictionaries and sets are ordered by a seed of the process, so another process has another order.
    let there = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let seeds: [UInt64] = [3, 64, 91, 128, 500]
      print("histories \(seeds.map { String(FaultSearch.run(seed: $0).digest, radix: 16) }.joined(separator: " "))")
    }
    let output = String(decoding: try #require(there).standardOutputContent, as: UTF8.self)
    #expect(output.contains("histories \(here)"), "\(output)")
  }

  @Test("different seeds are different histories, and a trace changes nothing")
  func trace() {
    #expect(Set((1...40).map { FaultSearch.run(seed: $0).digest }).count == 40)
    let plain = FaultSearch.run(seed: 7)
    let traced = FaultSearch.run(seed: 7, keepsTrace: true)
    #expect(plain.digest == traced.digest && plain.lines.isEmpty && traced.lines.count > 100)
    #expect(traced.lines.contains { $0.contains("central        commits {\"accepted\"") }, "\(traced.lines.prefix(60))")
    #expect(traced.lines.contains { $0.contains("faults stop") })
  }

  @Test("a violation says what, when, and how to see it again")
  func report() throws {
    let summary = FaultSearch.run(seeds: 1...20, bugs: [.effectsBeforeCommit])
    let first = try #require(summary.violations.first)
    #expect(first.violation.what.contains("not stored"), "\(first)")
    #expect(summary.description.contains("muster simulate faults --seed \(first.seed) --trace"), "\(summary)")
    let again = FaultSearch.run(seed: first.seed, bugs: [.effectsBeforeCommit], keepsTrace: true)
    #expect(again.violation == first.violation)
    #expect(again.lines.last?.contains("VIOLATION") == true)
  }
}

@Suite("Bugs on purpose")
struct PlantedBugTests {
  @Test("each planted bug is found within 1,000 seeds", arguments: PlantedBug.allCases)
  func found(bug: PlantedBug) {
    #expect(PlantedBug.allCases.count >= 10)
    let first = (1...1000).lazy.map { FaultSearch.run(seed: $0, bugs: [bug]) }.first { $0.violation != nil }
    #expect(first != nil, "\(bug.rawValue) was not found")
  }

  @Test("each has a row in docs/reliability.md with a unit test that exists")
  func unitTests() throws {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let page = try String(contentsOf: tests.appending(path: "../docs/reliability.md"), encoding: .utf8)
    let rows = page.split(separator: "\n").compactMap { line -> (bug: String, suite: String, function: String)? in
      guard let match = line.wholeMatch(of: /\| `(\w+)` \| `(\w+)\.(\w+)` \|/) else { return nil }
      return (String(match.1), String(match.2), String(match.3))
    }
    #expect(rows.map(\.bug).sorted() == PlantedBug.allCases.map(\.rawValue).sorted())
    let paths = try FileManager.default.subpathsOfDirectory(atPath: tests.path).filter { $0.hasSuffix(".swift") }
    let sources = try paths.map { try String(contentsOf: tests.appending(path: $0), encoding: .utf8) }
    for row in rows {
      let isThere = sources.contains { $0.contains("struct \(row.suite) {") && $0.contains("func \(row.function)(") }
      #expect(isThere, "\(row.bug): there is no test \(row.suite).\(row.function)")
    }
  }
}
