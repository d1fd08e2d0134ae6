package import Logging
import Synchronization

/// Records the log of a program for tests.
package final class LogRecorder: Sendable {
  package struct Record: Sendable {
    package var time: ContinuousClock.Instant
    package var level: Logger.Level
    package var message: String
    /// The message with its metadata as `key=value`, sorted.
    package var text: String
  }

  private let kept = Mutex<[Record]>([])
  private let label: String

  package init(label: String = "test") { self.label = label }

  package var records: [Record] { kept.withLock(\.self) }
  /// The records as lines, each with its level at the beginning.
  package var lines: [String] { records.map { "\($0.level) \($0.text)" } }

  package func lines(with text: String) -> [String] { lines.filter { $0.contains(text) } }

  package var logger: Logger { Logger(label: label) { _ in Handler(recorder: self) } }

  private struct Handler: LogHandler {
    let recorder: LogRecorder
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let all = metadata.merging(event.metadata ?? [:]) { $1 }
      let text = (["\(event.message)"] + all.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
      let record = Record(time: .now, level: event.level, message: "\(event.message)", text: text)
      recorder.kept.withLock { $0.append(record) }
    }
  }
}
