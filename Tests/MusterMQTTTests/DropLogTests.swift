import TestSupport
import Testing

@testable import MusterMQTT

@Suite struct DropLogTests {
  @Test("the first dropped messages are said one by one, a flood in one line of ten seconds with its number")
  func flood() {
    let said = LogRecorder()
    let log = DropLog(said.logger)
    let start = ContinuousClock.now
    for number in 0..<1000 { log.note("number \(number)", topic: "a/b", now: start + .milliseconds(number)) }
    #expect(said.records.count == 20)
    log.note("late", topic: nil, now: start + .seconds(11))
    #expect(said.records.count == 21)
    #expect(said.records.last?.text == "a message was dropped: late alike=980")
    log.note("and another", topic: nil, now: start + .seconds(12))
    #expect(said.records.count == 21)
    #expect(said.records.first?.text == "a message was dropped: number 0 topic=a/b")
  }
}
