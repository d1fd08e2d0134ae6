import MusterSchema
import Testing

/// Tests of the audit itself, with plain values.
@Suite struct KillAuditTests {
  private let key = ContributionKey(ledger: "central", task: "t", round: 1, phase: .train, path: "north/pi-1")
  private let digest = Digest(of: [1])

  private func problems(
    _ fates: [(Fate, Digest)], answers: [(Int, Digest)], uploads: [Digest]? = nil
  ) throws -> [String] {
    let rows = try fates.map { fate, digest in
      KillRecords.Row(
        key: key,
        contribution: ContributionRecord(
          path: try NodePath(validating: key.path), digest: digest, weight: 1, bytes: 1, metrics: [:], fate: fate))
    }
    let sent = Set((uploads ?? answers.map(\.1)).map { ContributionRecorder.Upload(key: key, digest: $0) })
    return KillAudit.promises(sent, answers.map { .init(upload: .init(key: key, digest: $0.1), status: $0.0) }, rows)
  }

  @Test(
    "A contribution that was answered 201 and is recorded once is in order, whatever became of it; so is one whose answer was never said")
  func inOrder() throws {
    for fate in [Fate.counted, .refused, .abandoned] {
      #expect(try problems([(fate, digest)], answers: [(201, digest), (200, digest), (409, Digest(of: [2]))]) == [])
      #expect(try problems([(fate, digest)], answers: [], uploads: [digest]) == [])
    }
  }

  @Test("What is lost, twice there, promised twice, of other bytes or of nobody is found")
  func broken() throws {
    #expect(try problems([], answers: [(201, digest)]).map { $0.contains("nothing of it") } == [true])
    #expect(try problems([(.counted, digest), (.abandoned, digest)], answers: [(201, digest)]).map { $0.contains("2 times") } == [true])
    #expect(try problems([(.counted, digest)], answers: [(201, digest), (201, digest)]).map { $0.contains("201 2 times") } == [true])
    let other = Digest(of: [2])
    #expect(try problems([(.counted, other)], answers: [(201, digest)], uploads: [digest, other]).count == 1)
    #expect(try problems([(.counted, digest)], answers: [], uploads: []).map { $0.contains("nobody uploaded") } == [true])
  }

  @Test("One seed is one plan; every kind of program has its turn; the broker starts with this or that memory")
  func plan() {
    let (regions, devices) = (["north", "south"], ["pi-1", "pi-2", "pi-3"])
    for seed: UInt64 in 1...50 {
      let plan = KillPlan(seed: seed, kills: 8, regions: regions, devices: devices)
      #expect(plan.kills == KillPlan(seed: seed, kills: 8, regions: regions, devices: devices).kills)
      #expect(plan.kills.count == 8 && Set(plan.kills.map(\.victim)).isSuperset(of: ["central", "broker"] + regions))
      #expect(plan.kills.contains { devices.contains($0.victim) })
      #expect(plan.kills.allSatisfy { ($0.victim == KillPlan.broker) == ($0.memory != nil) })
    }
  }

  @Test("HTTP is followed through lengths, chunks, interim answers and any cut of the bytes", arguments: [1, 2, 7, 1000])
  func splitter(size: Int) {
    let text = """
      HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc\
      HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwxyz\r\nA\r\n0123456789\r\n0\r\nX-Late: 1\r\n\r\n\
      HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n
      """
    var splitter = HTTPSplitter()
    var seen: [String] = []
    var body: [UInt8] = []
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: size) {
      splitter.feed(bytes[start..<min(bytes.count, start + size)], isAnswer: true) { part in
        switch part {
        case .head(let head):
          seen.append("\(head.status)")
          return head.status != 204 && head.status >= 200
        case .body(let piece): body += piece
        case .end:
          seen.append(String(decoding: body, as: UTF8.self))
          body = []
        }
        return true
      }
    }
    #expect(seen == ["100", "", "201", "abc", "200", "wxyz0123456789", "204", "", "404", ""])
  }
}
