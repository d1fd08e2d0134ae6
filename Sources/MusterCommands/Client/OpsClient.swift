import Glibc
import MusterSchema
import MusterTransfer

/// Central's ops API, with errors that a person can act on.
struct OpsClient: Sendable {
  /// `http://127.0.0.1:7401`, without a slash at the end.
  let central: String
  private let client: HTTPClient

  init(central: String) throws(CommandError) {
    var address = central
    while address.hasSuffix("/") { address.removeLast() }
    do {
      self.central = try ServerAddress(base: address).description
    } catch {
      throw CommandError(.usage, "not an address of central: \(error) (--central, MUSTER_CENTRAL)")
    }
    do {
      client = try HTTPClient(HTTPConfiguration(maximumBody: 256 << 20))
    } catch {
      throw CommandError(error, central: address)
    }
  }

  func info() async throws(CommandError) -> ServerInfo { try await get("/v1/info") }
  /// The newest first.
  ///
  /// - Parameter last: at most so many; nil: all.
  func tasks(step: RoundState.Step? = nil, last: Int? = nil) async throws(CommandError) -> [TaskSummary] {
    try await list("/v1/tasks" + (step.map { "?step=\($0.rawValue)" } ?? ""), most: last)
  }
  /// - Parameter lastRounds: how many of the rounds that have ended, and their models, are wanted; nil: as many as central thinks fit.
  func task(_ task: TaskID, lastRounds: Int? = nil) async throws(CommandError) -> TaskDetail {
    try await get("/v1/tasks/\(task)" + (lastRounds.map { "?rounds=last:\($0)" } ?? ""))
  }
  /// With all of its rounds and their contributions.
  func wholeTask(_ task: TaskID) async throws(CommandError) -> TaskDetail { try await get("/v1/tasks/\(task)?rounds=all") }
  func now(_ task: TaskID) async throws(CommandError) -> RoundState { try await get("/v1/tasks/\(task)/now") }
  func why(_ task: TaskID) async throws(CommandError) -> Explanation { try await get("/v1/tasks/\(task)/why") }
  func traffic(_ task: TaskID) async throws(CommandError) -> [LinkTraffic] { try await get("/v1/tasks/\(task)/traffic") }
  func replay(_ task: TaskID, round: Int) async throws(CommandError) -> ReplayReport {
    do {
      return try await client.send("POST", central + "/v1/tasks/\(task)/rounds/\(round)/replay").decode(ReplayReport.self)
    } catch {
      throw CommandError(error, central: central)
    }
  }

  /// The newest first.
  ///
  /// - Parameters:
  ///   - round: only models of earlier rounds; nil: all.
  ///   - last: at most so many; nil: all.
  func models(_ task: TaskID, before round: Int? = nil, last: Int? = nil) async throws(CommandError) -> [ModelCheckpoint] {
    try await list("/v1/tasks/\(task)/models" + (round.map { "?after=\($0)" } ?? ""), most: last)
  }

  /// Rounds that are over, the newest first.
  ///
  /// - Parameter last: at most so many; nil: all.
  func rounds(_ task: TaskID, last: Int? = nil) async throws(CommandError) -> [RoundSummary] {
    try await list("/v1/tasks/\(task)/rounds", most: last)
  }

  /// The task and the last rounds that are over.
  func picture(_ task: TaskID, lastRounds: Int? = nil) async throws(CommandError) -> TaskPicture {
    TaskPicture(detail: try await self.task(task, lastRounds: 0), rounds: try await rounds(task, last: lastRounds).reversed())
  }

  /// What happens in a task, as central tells it; see ``TaskNews``. It ends, or throws ``CommandError``, when the connection does.
  ///
  /// - Parameter id: of the last event that was heard.
  func news(of task: TaskID, after id: String? = nil) -> AsyncThrowingStream<TaskNews, any Error> {
    let (client, central) = (client, central)
    return AsyncThrowingStream { continuation in
      // A task of its own, because the stream outlives this call. `onTermination` below ends it.
      let reading = Task {
        do {
          for try await event in client.events(from: "\(central)/v1/events?task=\(task)", after: id) {
            if let news = try TaskNews(event) { continuation.yield(news) }
          }
          continuation.finish()
        } catch let error as TransferError {
          continuation.finish(throwing: CommandError(error, central: central))
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in reading.cancel() }
    }
  }

  /// A list, a page at a time.
  private func list<Row: Decodable>(_ path: String, most: Int?) async throws(CommandError) -> [Row] {
    var rows: [Row] = []
    var next: String? = path
    while let path = next, rows.count < most ?? .max {
      let limit = min(PageRequest.most, most.map { $0 - rows.count } ?? PageRequest.most)
      let asked = path.contains("limit=") ? path : path + (path.contains("?") ? "&" : "?") + "limit=\(limit)"
      do {
        let answer = try await client.send("GET", central + asked)
        rows += try answer.decode([Row].self)
        next = answer["link"].flatMap(Self.next)
      } catch {
        throw CommandError(error, central: central)
      }
    }
    return most.map { Array(rows.prefix($0)) } ?? rows
  }

  /// The address in `Link: <…>; rel="next"`.
  private static func next(_ link: String) -> String? {
    guard link.hasPrefix("</"), link.contains("rel=\"next\""), let end = link.firstIndex(of: ">") else { return nil }
    return String(link[link.index(after: link.startIndex)..<end])
  }
  func regions() async throws(CommandError) -> [RegionSummary] { try await get("/v1/regions") }
  func nodes() async throws(CommandError) -> [NodeSummary] { try await get("/v1/nodes") }

  func forget(_ node: NodePath) async throws(CommandError) {
    do {
      _ = try await client.send("POST", central + "/v1/nodes/\(node)/forget")
    } catch {
      throw CommandError(error, central: central)
    }
  }

  /// What a region knows of a task: for its own ops address.
  func regionTask(_ task: TaskID) async throws(CommandError) -> RegionTask { try await get("/v1/tasks/\(task)?rounds=all") }

  /// Whether the server's process answers at all.
  func isHealthy() async -> Bool {
    do {
      return try await client.send("GET", central + "/healthz").status == 200
    } catch {
      return false
    }
  }

  /// A retried push is one task: the id is the client's.
  func push(_ task: TaskID, _ specification: TaskSpecification) async throws(CommandError) -> TaskSummary {
    let (client, url) = (client, central + "/v1/tasks/\(task)")
    do {
      return try await retrying(RetryPolicy(attempts: 3)) { _ throws(TransferError) in
        try await client.send("PUT", url, json: specification).decode(TaskSummary.self)
      }
    } catch {
      throw CommandError(error, central: central)
    }
  }

  func check(_ specification: TaskSpecification) async throws(CommandError) -> TaskCheck {
    do {
      return try await client.send("POST", central + "/v1/tasks/check", json: specification).decode(TaskCheck.self)
    } catch {
      throw CommandError(error, central: central)
    }
  }

  enum Action: String, Sendable { case pause, resume, cancel, evaluate }

  func perform(_ action: Action, on task: TaskID) async throws(CommandError) -> TaskSummary {
    do {
      return try await client.send("POST", central + "/v1/tasks/\(task)/\(action.rawValue)").decode(TaskSummary.self)
    } catch {
      throw CommandError(error, central: central)
    }
  }

  /// Gives central a model to start from. The same bytes again are no error.
  func store(blob bytes: [UInt8], digest: Digest) async throws(CommandError) {
    do {
      _ = try await client.send(
        "POST", central + "/v1/blobs", body: bytes, contentType: "application/octet-stream",
        headers: [("Content-Digest", digest.contentDigest)])
    } catch {
      throw CommandError(error, central: central)
    }
  }

  /// Fetches a model; the file appears only when it is complete and has the digest.
  func download(_ model: ModelCheckpoint, to path: String) async throws(CommandError) {
    do {
      try await client.download("\(central)/v1/blobs/\(model.digest)", to: path, expecting: model.digest, maximumBytes: model.bytes)
    } catch {
      throw CommandError(error, central: central)
    }
    // Downloads are private to their owner until they are complete; a model is a file like others.
    guard chmod(path, 0o644) == 0 else {
      throw CommandError(.unexpected, "\(path): its mode cannot be set: \(String(cString: strerror(errno)))")
    }
  }

  private func get<T: Decodable & Sendable>(_ path: String) async throws(CommandError) -> T {
    do {
      return try await client.get(T.self, from: central + path)
    } catch {
      throw CommandError(error, central: central)
    }
  }
}
