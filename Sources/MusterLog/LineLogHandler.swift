import Glibc
package import Logging

/// Writes log events to standard error, each on exactly one line.
///
/// On a terminal or in a file, a line begins with the time in milliseconds. Where systemd's journal reads standard error, it begins with
/// the priority instead (`<4>`, see sd-daemon(3)): the journal records the time itself, and `journalctl -p warning` needs the priority.
package struct LineLogHandler: LogHandler {
  package var logLevel: Logger.Level
  package var metadata: Logger.Metadata = [:]
  package var metadataProvider: Logger.MetadataProvider?
  private let label: String
  private let format: LogLine.Format
  private let write: @Sendable (String) -> Void

  package init(label: String, level: Logger.Level = .info) {
    self.init(label: label, level: level, format: LogLine.Format.ofStandardError) { line in
      _ = line.withCString { Glibc.write(STDERR_FILENO, $0, strlen($0)) }
    }
  }

  init(label: String, level: Logger.Level, format: LogLine.Format, write: @escaping @Sendable (String) -> Void) {
    self.label = label
    logLevel = level
    self.format = format
    self.write = write
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    var all = metadata
    if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
    if let own = event.metadata { all.merge(own) { $1 } }
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    write(LogLine(event.level, label: label, source: event.source, all, "\(event.message)").text(format, at: now))
  }
}
