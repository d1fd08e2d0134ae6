import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("Sentences about nodes and their reasons")
struct SentenceTests {
  private let long = "trainer failed with exit status 1: " + String(repeating: "x", count: 118) + " No module named 'torch'"

  private func waiting(_ entries: (String, String)...) -> [Waiting] { entries.map { Waiting(node: $0.0, reason: $0.1) } }

  @Test("nodes with one reason stand together, and what has no room is counted")
  func together() {
    #expect(Sentences.waiting([]) == "")
    #expect(Sentences.waiting(waiting(("a", "late"), ("b", "late"), ("c", "gone"))) == "a, b (late), c (gone)")
    #expect(Sentences.waiting((1...40).map { Waiting(node: "pi-\($0)", reason: "late") }) == "pi-1, pi-2, pi-3 and 37 more (late)")
    #expect(Sentences.events(waiting(("a", "went offline"), ("b", "went offline"))) == "a, b went offline")
    let many = (1...40).map { Waiting(node: "pi-\($0)", reason: "memory: \($0) MiB available, the task needs 64 MiB") }
    let text = Sentences.waiting(many)
    #expect(text.hasSuffix("pi-3 (memory: 3 MiB available, the task needs 64 MiB) and 37 more"), "\(text)")
  }

  @Test("a reason is whole or absent, however long the first is")
  func whole() {
    #expect(Sentences.waiting(waiting(("a", long), ("b", long + "!"))) == "a (\(long)) and 1 more")
    let longer = long + long
    #expect(Sentences.waiting(waiting(("a", longer), ("b", "late"))) == "a (\(longer)) and 1 more")
  }

  @Test("of what went wrong, the newest stays")
  func newest() {
    let list = waiting(("a", "went offline"), ("b", "went offline"), ("c", long), ("d", "late"))
    #expect(Sentences.troubles(list) == "2 earlier; c: \(long); d: late")
    #expect(Sentences.troubles(waiting(("a", "late"), ("b", long + long))) == "1 earlier; b: \(long)\(long)")
  }

  @Test("of a text that is too long the beginning and the end stay, as bytes of JSON")
  func brief() throws {
    #expect("went offline".brief() == "went offline")
    #expect("a\nb\u{1b}[0m".brief().unicodeScalars.allSatisfy { $0.value >= 0x20 })
    let text = (long + long + long).brief()
    #expect(text.hasPrefix("trainer failed with exit status 1: ") && text.hasSuffix(" No module named 'torch'") && text.contains(" … "))
    #expect(text.utf8.count == 280)
    for letter in ["\"", "é", "👩‍👩‍👧"] {
      let size = try JSON.encode([String(repeating: letter, count: 500).brief()]).count - 4
      #expect((272...280).contains(size), "\(size)")
    }
  }

  @Test("whatever devices and regions say, the window on a round fits its topic")
  func window() throws {
    let text = String(repeating: "\"\\", count: 400)
    var bench = CentralBench(specification(rounds: 3, size: 8, minimum: 8, devices: false), ready: 8)
    bench.tell(
      .status(
        NodeStatus(
          node: .north, task: .digits, state: .short, round: 1, attempt: 1, phase: .train, reason: text, devices: 8, have: 1,
          waiting: (1...5).map { Waiting(node: "\($0)\(text)", reason: "\(text)\($0)") }, quota: 8)))
    let state = try #require(bench.machine.roundState(.digits))
    #expect(!state.waiting.isEmpty && state.waiting.count + state.more == 5, "\(state)")
    #expect(try MessageCoder.encode(state).count <= MessageCoder.maximumBytes)
  }
}
