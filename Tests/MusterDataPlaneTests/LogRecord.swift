import Logging
import Synchronization

/// What a server said, for tests to read.
final class LogRecord: Sendable {
  private let lines = Mutex<[String]>([])

  var all: [String] { lines.withLock(\.self) }

  var logger: Logger {
    Logger(label: "test") { _ in Handler(record: self) }
  }

  func lines(with text: String) -> [String] { all.filter { $0.contains(text) } }

  private struct Handler: LogHandler {
    let record: LogRecord
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let all = metadata.merging(event.metadata ?? [:]) { $1 }
      let text = all.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
      record.lines.withLock { $0.append("\(event.level) \(event.message) \(text)") }
    }
  }
}
