import Testing

@testable import MusterSchema

/// Numbers from outside, at and beyond the limits of their ranges.
@Suite struct BoundsTests {
  @Test("digits are read up to the end of the range, and nothing else is")
  func digits() {
    #expect(Bounds.bytes.read("0") == 0)
    #expect(Bounds.bytes.read("1125899906842623") == 1_125_899_906_842_623)
    for text in [
      "", " 1", "+1", "-1", "1.0", "1e3", "0x10", "١", "1125899906842624", "9223372036854775807", "9223372036854775808",
      String(repeating: "9", count: 400),
    ] {
      #expect(Bounds.bytes.read(text) == nil, "\(text)")
    }
  }

  @Test("a number out of its range becomes the nearest that is in it, a NaN the least")
  func limited() {
    #expect(Bounds.seconds.limited(1e21) == 1e9)
    #expect(Bounds.seconds.limited(.infinity) == 1e9)
    #expect(Bounds.seconds.limited(-1) == 0)
    #expect(Bounds.seconds.limited(.nan) == 0)
    #expect(Bounds.seconds.limited(7) == 7)
    #expect(Bounds.count.limited(.max) == 1_000_000_000)
  }

  @Test(
    "a message with a number out of its range is refused by the member's name",
    arguments: [
      ("round", "9223372036854775807"), ("attempt", "-1"), ("devices", "9223372036854775807"), ("declined", "-5"),
      ("have", "1000000001"), ("quota", "9223372036854775807"), ("retrySeconds", "1e300"),
    ])
  func status(member: String, value: String) throws {
    let json = #"{"kind":"node-status","node":"pi-1","task":"digits","state":"ready","\#(member)":\#(value)}"#
    let error = #expect(throws: MessageError.self) { try MessageCoder.decode(NodeStatus.self, from: Array(json.utf8)) }
    #expect("\(try #require(error))".contains(member))
  }

  @Test(
    "each kind of message is checked",
    arguments: [
      #"{"kind":"node-state","node":"a","online":true,"session":"1","resources":{"memoryMiB":9223372036854775807}}"#,
      #"{"kind":"node-state","node":"a","online":true,"session":"1","resources":{"cores":-1}}"#,
      #"""
      {"kind":"invitation","task":"t","revision":1,"round":1,"attempt":1,"phase":"train","quota":1,"minimum":1,"upload":"http://h/",
      "base":{"digest":"sha256:\#(String(repeating: "a", count: 64))","bytes":9223372036854775807,"path":"/"},"seed":1,"secondsLeft":1,
      "startWithin":0}
      """#,
      #"""
      {"kind":"round-state","task":"t","step":"training","round":1,"rounds":9223372036854775807,"attempt":1,"counts":{},"needed":1,"have":1,
      "why":"","waiting":[],"more":0}
      """#,
    ])
  func kinds(json: String) throws {
    let bytes = Array(json.replacing("\n", with: "").utf8)
    func isRefused<M: Message>(_: M.Type) -> Bool {
      do {
        _ = try MessageCoder.decode(M.self, from: bytes)
        return false
      } catch {
        return "\(error)".contains("must be between")
      }
    }
    #expect(isRefused(NodeState.self) || isRefused(Invitation.self) || isRefused(RoundState.self))
  }

  @Test("what servers and clients tell each other is checked as it is decoded, in lists, too")
  func answers() throws {
    let traffic = #"{"received":9223372036854775807,"sent":1}"#
    #expect(throws: RangeError.self) { try JSON.decode(Traffic.self, from: Array(traffic.utf8)) }
    #expect(throws: RangeError.self) {
      try JSON.decode([LinkTraffic].self, from: Array(#"[{"coordinator":"north","traffic":\#(traffic)}]"#.utf8))
    }
    let digest = Digest(of: [1])
    #expect(throws: RangeError.self) {
      try JSON.decode(Evaluation.self, from: Array(#"{"base":"\#(digest)","weight":1,"count":9223372036854775807,"metrics":{}}"#.utf8))
    }
    let error = #expect(throws: RangeError.self) { try JSON.decode(Traffic.self, from: Array(traffic.utf8)) }
    #expect(JSON.explain(try #require(error), in: traffic.utf8).hasPrefix("received: must be between 0 and "))
  }

  @Test("the bytes of a thousand regions that all report the most have a sum")
  func sums() {
    #expect((1...1000).map { _ in Bounds.traffic.range.upperBound }.saturatingSum() == .max)
    #expect([1, 2, 3].saturatingSum() == 6 && [Int]().saturatingSum() == 0)
  }

  @Test("a task's numbers have an upper end, too")
  func task() throws {
    var task = TaskSpecification(
      name: "t", model: ModelSpecification(type: "mlp", step: TrainingStep(blob: Digest(of: [1]), bytes: .max)),
      regions: [NodeID(unchecked: "a")],
      requires: Requirements(memoryMiB: .max, diskMiB: .max, cores: .max), rounds: 1, cohort: CohortSpecification(size: 1))
    task.evaluate.every = .max
    // Each size is allowed, but no machine could hold their product.
    task.model.input = [1_000_000, 1_000_000, 1_000_000, 1_000_000]
    #expect(
      Set(task.problems().map(\.field)).isSuperset(
        of: [
          "model.input", "model.step.bytes", "requires.memoryMiB", "requires.diskMiB", "requires.cores", "evaluate.every",
        ]))
  }
}
