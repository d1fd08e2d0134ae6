import Logging
import Synchronization
import Testing

@testable import MusterMQTT

@Suite struct DropLogTests {
  @Test("the first dropped messages are said one by one, a flood in one line of ten seconds with its number")
  func flood() {
    let lines = Lines()
    let log = DropLog(Logger(label: "test") { _ in Lines.Handler(record: lines) })
    let start = ContinuousClock.now
    for number in 0..<1000 { log.note("number \(number)", topic: "a/b", now: start + .milliseconds(number)) }
    #expect(lines.all.count == 20)
    log.note("late", topic: nil, now: start + .seconds(11))
    #expect(lines.all.count == 21)
    #expect(lines.all.last == "a message was dropped: late [alike: 980]")
    log.note("and another", topic: nil, now: start + .seconds(12))
    #expect(lines.all.count == 21)
    #expect(lines.all.first == "a message was dropped: number 0 [topic: a/b]")
  }
}

private final class Lines: Sendable {
  private let lines = Mutex<[String]>([])
  var all: [String] { lines.withLock(\.self) }

  struct Handler: LogHandler {
    let record: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let metadata = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
      record.lines.withLock { $0.append("\(event.message)" + (metadata.isEmpty ? "" : " [\(metadata.joined(separator: ", "))]")) }
    }
  }
}
