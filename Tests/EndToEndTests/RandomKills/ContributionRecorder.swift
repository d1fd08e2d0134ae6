import FoundationEssentials
import Glibc
import MusterSchema
import Synchronization
import TestSupport

/// Identifies a contribution at its ledger.
struct ContributionKey: Hashable, Comparable, Sendable, CustomStringConvertible {
  var ledger: String
  var task: String
  var round: Int
  var phase: Phase
  var path: String

  /// Reads the address of an upload; `nil` for any other address.
  init?(ledger: String, target: Substring) {
    let parts = target.split(separator: "/").map(String.init)
    guard parts.count >= 7, parts[0] == "v1", parts[1] == "tasks", parts[3] == "rounds", let round = Int(parts[4]) else { return nil }
    guard let phase: Phase = ["updates": .train, "evaluations": .evaluate][parts[5]] else { return nil }
    self.init(ledger: ledger, task: parts[2], round: round, phase: phase, path: parts[6...].joined(separator: "/"))
  }

  init(ledger: String, task: String, round: Int, phase: Phase, path: String) {
    (self.ledger, self.task, self.round, self.phase, self.path) = (ledger, task, round, phase, path)
  }

  var description: String { "\(task), round \(round), \(phase.rawValue), \(path) at \(ledger)" }
  static func < (left: Self, right: Self) -> Bool { left.description < right.description }
}

/// Records uploads and answers in front of the data listeners, independently of all programs. It keeps the bytes.
final class ContributionRecorder: Sendable {
  struct Upload: Hashable, Sendable {
    var key: ContributionKey
    /// Digest of the bytes that passed.
    var digest: Digest
  }

  struct Answered: Hashable, Sendable {
    var upload: Upload
    var status: Int
  }

  private struct Watch {
    var moment: KillPlan.Moment
    var concerns: @Sendable (ContributionKey) -> Bool
    var act: @Sendable () -> Void
  }

  private struct State {
    var uploads: Set<Upload> = []
    var answers: [Answered] = []
    var failures: [String] = []
    var watch: Watch?
  }

  private let folder: String
  private let state = Mutex(State())

  init(folder: String) throws {
    self.folder = folder
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  /// Uploads that passed completely, with any result.
  var uploads: Set<Upload> { state.withLock(\.uploads) }
  /// The uploads that got an answer, in the order of the answers.
  var answers: [Answered] { state.withLock(\.answers) }
  /// Errors of the recorder itself.
  var failures: [String] { state.withLock(\.failures) }
  /// The file with the bytes of an upload that passed completely, with any answer.
  func body(_ digest: Digest) -> String { "\(folder)/\(digest.hexadecimal)" }

  /// Creates a proxy in front of a program's data listener.
  func proxy(_ ledger: String, port: Int) throws -> CuttingProxy {
    try CuttingProxy(to: port, tap: { RecordedConnection(ledger: ledger, self) })
  }

  /// Calls `act` once, on the thread of the connection, at a moment of an upload.
  func watch(
    _ moment: KillPlan.Moment, of concerns: @escaping @Sendable (ContributionKey) -> Bool, act: @escaping @Sendable () -> Void
  ) {
    state.withLock { $0.watch = Watch(moment: moment, concerns: concerns, act: act) }
  }

  /// - Returns: whether the watch was still waiting.
  func unwatch() -> Bool {
    state.withLock { state in
      defer { state.watch = nil }
      return state.watch != nil
    }
  }

  fileprivate func reach(_ moment: KillPlan.Moment, _ key: ContributionKey) {
    let watch = state.withLock { state -> Watch? in
      guard let watch = state.watch, watch.moment == moment, watch.concerns(key) else { return nil }
      state.watch = nil
      return watch
    }
    watch?.act()
  }

  fileprivate func keep(_ body: [UInt8], _ upload: Upload) {
    do {
      try Data(body).write(to: URL(filePath: self.body(upload.digest)), options: .atomic)
      state.withLock { _ = $0.uploads.insert(upload) }
    } catch {
      state.withLock { $0.failures.append("a body was not kept: \(error)") }
    }
  }

  fileprivate func note(_ answer: Answered) { state.withLock { $0.answers.append(answer) } }
}

/// One connection. Only its own thread uses it.
private final class RecordedConnection: ConnectionTap {
  private final class Request {
    let method: String
    let key: ContributionKey?
    var body: [UInt8] = []
    /// The upload, when its body is complete.
    var upload: ContributionRecorder.Upload?

    init(_ head: HTTPHead, ledger: String) {
      method = head.method
      key = method == "PUT" ? ContributionKey(ledger: ledger, target: head.target.prefix { $0 != "?" }) : nil
    }
  }

  private let ledger: String
  private let recorder: ContributionRecorder
  private var requests = HTTPSplitter()
  private var answers = HTTPSplitter()
  private var writing: Request?
  private var unanswered: [Request] = []
  private var whole: [ContributionKey] = []

  init(ledger: String, _ recorder: ContributionRecorder) {
    self.ledger = ledger
    self.recorder = recorder
  }

  func sent(_ bytes: ArraySlice<UInt8>) {
    requests.feed(bytes, isAnswer: false) { part in
      switch part {
      case .head(let head):
        let request = Request(head, ledger: ledger)
        writing = request
        unanswered.append(request)
      case .body(let bytes):
        if writing?.key != nil { writing?.body += bytes }
      case .end:
        if let request = writing, let key = request.key {
          let upload = ContributionRecorder.Upload(key: key, digest: Digest(of: request.body))
          request.upload = upload
          recorder.keep(request.body, upload)
          request.body = []
          whole.append(key)
        }
        writing = nil
      }
      return true
    }
  }

  func wentOn() {
    for key in whole { recorder.reach(.whole, key) }
    whole = []
  }

  func answered(_ bytes: ArraySlice<UInt8>) {
    answers.feed(bytes, isAnswer: true) { part in
      guard case .head(let head) = part else { return true }
      // An interim answer, which the final one follows.
      guard head.status >= 200, let request = unanswered.first else { return false }
      unanswered.removeFirst()
      if let upload = request.upload {
        recorder.note(.init(upload: upload, status: head.status))
        if head.status == 201 { recorder.reach(.answered, upload.key) }
      }
      return request.method != "HEAD" && head.status != 204 && head.status != 304
    }
  }
}
