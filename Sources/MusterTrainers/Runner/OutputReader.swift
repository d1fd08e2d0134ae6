internal import FoundationEssentials
internal import Glibc
internal import MusterSchema

/// Splits a trainer's output into lines of bounded length.
struct LineSplitter {
  static let maximumLength = 4096
  private var line: [UInt8] = []

  /// Calls `body` with every complete line, cut to the maximum length.
  mutating func append(_ bytes: ArraySlice<UInt8>, _ body: ([UInt8]) -> Void) {
    var rest = bytes
    while let end = LineSplitter.newline(in: rest) {
      keep(rest[..<end])
      body(line)
      line.removeAll(keepingCapacity: true)
      rest = rest[(end + 1)...]
    }
    keep(rest)
  }

  /// Uses the C library's faster search, because a trainer may write a flood of output.
  private static func newline(in bytes: ArraySlice<UInt8>) -> Int? {
    bytes.withUnsafeBytes { buffer in
      guard let start = buffer.baseAddress, let found = memchr(start, 0x0a, buffer.count) else { return nil }
      return bytes.startIndex + (UnsafeRawPointer(found) - start)
    }
  }

  /// Passes on the last line if it has no newline.
  mutating func finish(_ body: ([UInt8]) -> Void) {
    if !line.isEmpty { body(line) }
    line.removeAll()
  }

  private mutating func keep(_ part: ArraySlice<UInt8>) {
    if line.count < LineSplitter.maximumLength { line += part.prefix(LineSplitter.maximumLength - line.count) }
  }
}

/// Interprets one job's output: progress goes to the caller, other lines to a bounded log.
struct OutputReader {
  static let logLines = 50
  static let logLineLength = 500
  /// Maximum number of lines a second that are interpreted. Further lines are counted and dropped.
  static let linesPerSecond = 1000
  static let progressInterval = Duration.milliseconds(50)

  private(set) var log: [String] = []
  /// Number of bytes of output so far.
  private(set) var bytes = 0
  /// The exit status in a resident trainer's answer for this folder.
  private(set) var done: Int32?
  private let folder: String
  private let onProgress: @Sendable (TrainerProgress) -> Void
  private var output = LineSplitter()
  private var errors = LineSplitter()
  private var second = ContinuousClock.now
  private var lines = 0
  private var dropped = 0
  private var lastProgress: ContinuousClock.Instant?

  init(folder: String, onProgress: @escaping @Sendable (TrainerProgress) -> Void) {
    self.folder = folder
    self.onProgress = onProgress
  }

  mutating func readOutput(_ bytes: ArraySlice<UInt8>) {
    self.bytes += bytes.count
    var lines: [[UInt8]] = []
    output.append(bytes) { lines.append($0) }
    for line in lines { handleOutput(line) }
  }

  mutating func readErrors(_ bytes: ArraySlice<UInt8>) {
    self.bytes += bytes.count
    var lines: [[UInt8]] = []
    errors.append(bytes) { lines.append($0) }
    for line in lines where admit() { keep(line) }
  }

  mutating func finish() {
    var last: [[UInt8]] = []
    output.finish { last.append($0) }
    for line in last { handleOutput(line) }
    last = []
    errors.finish { last.append($0) }
    for line in last { keep(line) }
    noteDropped()
  }

  private mutating func handleOutput(_ line: [UInt8]) {
    // An answer is never dropped, because the job ends only with it.
    guard admit() || line.starts(with: "{\"done\"".utf8) else { return }
    switch TrainerLine(line) {
    case .progress(let progress):
      let now = ContinuousClock.now
      if let lastProgress, now - lastProgress < Self.progressInterval, progress.fraction < 1 { return }
      lastProgress = now
      onProgress(progress)
    case .done(let path, let exit): if path == folder { done = exit }
    case .other: keep(line)
    }
  }

  private mutating func admit() -> Bool {
    let now = ContinuousClock.now
    if now - second > .seconds(1) {
      second = now
      lines = 0
      noteDropped()
    }
    lines += 1
    if lines > Self.linesPerSecond { dropped += 1 }
    return lines <= Self.linesPerSecond
  }

  private mutating func noteDropped() {
    if dropped > 0 { append("(\(dropped) more lines)") }
    dropped = 0
  }

  private mutating func keep(_ line: [UInt8]) {
    let text = String(decoding: line.prefix(Self.logLineLength), as: UTF8.self).withoutControlCharacters
    if !text.isEmpty { append(text) }
  }

  private mutating func append(_ line: String) {
    if log.count == Self.logLines { log.removeFirst() }
    log.append(line)
  }
}

extension TrainerLine {
  private struct Fields: Decodable {
    var progress: Double?
    var epoch: Int?
    var loss: Double?
    var done: String?
    var exit: Int32?
  }

  /// Parses a line of the protocol; every other line is `other`.
  init(_ line: [UInt8]) {
    guard line.first == UInt8(ascii: "{"), let fields = try? JSONDecoder().decode(Fields.self, from: Data(line)) else {
      self = .other
      return
    }
    if let folder = fields.done {
      self = .done(folder: folder, exit: fields.exit ?? 0)
    } else if let progress = fields.progress, progress.isFinite {
      self = .progress(TrainerProgress(fraction: min(1, max(0, progress)), epoch: fields.epoch, loss: fields.loss))
    } else {
      self = .other
    }
  }
}
