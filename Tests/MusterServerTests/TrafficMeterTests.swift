import FoundationEssentials
import Logging
import MusterSchema
import TestSupport
import Testing

@testable import MusterServer

/// The size of a coordinator's byte counts is bounded by the number of its tasks.
@Suite struct TrafficMeterTests {
  private let folder: TemporaryFolder
  private let log = LogRecorder()
  private let digits = TaskID(unchecked: "digits")
  private let other = TaskID(unchecked: "other")

  init() throws { folder = try TemporaryFolder() }

  private func meter() -> TrafficMeter { TrafficMeter(folder: folder.path, logger: log.logger) }
  private func blob(_ round: Int) -> Digest { Digest(of: "model \(round)".utf8) }
  private var written: String { get throws { try String(contentsOfFile: folder.file("traffic.json"), encoding: .utf8) } }

  @Test("Of a task of ten thousand rounds the bases of the latest are known, and none once it has ended")
  func bases() throws {
    let meter = meter()
    for round in 0..<10_000 { meter.handsOut(blob(round), for: digits) }
    meter.sent(7, of: blob(9_999))
    meter.sent(7, of: blob(0))
    #expect(meter.traffic(of: digits).sent == 7)
    meter.save(keeping: [digits], open: [digits])
    #expect(try written.utf8.count < 2000)
    meter.save(keeping: [digits], open: [])
    #expect(try written.contains(blob(9_999).hexadecimal) == false)
    // The counts are kept as long as the task is known.
    #expect(self.meter().traffic(of: digits).sent == 7)
    meter.save(keeping: [], open: [])
    #expect(self.meter().traffic(of: digits) == Traffic())
  }

  @Test("The same base of every round is one, and a base of two tasks counts for the one that was invited last")
  func same() {
    let meter = meter()
    for _ in 0..<100 { meter.handsOut(blob(1), for: digits) }
    meter.handsOut(blob(1), for: other)
    meter.sent(5, of: blob(1))
    #expect(meter.traffic(of: digits).sent == 0)
    #expect(meter.traffic(of: other).sent == 5)
  }

  @Test("Whatever name a stranger writes into an address, nothing is kept of it")
  func strangers() throws {
    let meter = meter()
    meter.handsOut(blob(1), for: digits)
    for number in 0..<10_000 { meter.received(1, of: TaskID(unchecked: "stranger-\(number)")) }
    meter.received(3, of: digits)
    #expect(meter.traffic(of: digits).received == 3)
    meter.save(keeping: [digits], open: [digits])
    #expect(try written.contains("stranger") == false)
  }

  @Test("What version 0.1.0 wrote is read, and shrinks; numbers that cannot be are begun anew")
  func older() throws {
    let blobs = (0..<500).map { "\"\(blob($0).hexadecimal)\":\"digits\"" }.joined(separator: ",")
    try folder.write(#"{"version":1,"tasks":{"digits":{"received":10,"sent":20}},"blobs":{\#(blobs)}}"#, to: "traffic.json")
    let meter = meter()
    #expect(meter.traffic(of: digits) == Traffic(received: 10, sent: 20))
    meter.save(keeping: [digits], open: [digits])
    #expect(try written.utf8.count < 2000)
    try folder.write(#"{"version":1,"tasks":{"digits":{"received":9223372036854775807,"sent":20}},"blobs":{}}"#, to: "traffic.json")
    #expect(self.meter().traffic(of: digits) == Traffic())
    #expect(log.lines(with: "cannot be read").count == 1)
  }
}
