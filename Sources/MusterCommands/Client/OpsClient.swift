import Glibc
import MusterSchema
import MusterTransfer

/// A client of central's ops API whose errors tell a person what to do.
struct OpsClient: Sendable {
  /// The base address without a slash at the end, for example `http://127.0.0.1:7401`.
  let central: String
  private let client: HTTPClient

  init(central: String) throws(CommandError) {
    var address = central
    while address.hasSuffix("/") { address.removeLast() }
    do {
      self.central = try ServerAddress(base: address).description
    } catch {
      throw CommandError(.usage, "the address of central is not valid: \(error) (set it with --central or MUSTER_CENTRAL)")
    }
    do {
      client = try HTTPClient(HTTPConfiguration(maximumBody: 256 << 20))
    } catch {
      throw CommandError(error, central: address)
    }
  }

  func info() async throws(CommandError) -> ServerInfo { try await get("/v1/info") }
  /// The tasks, newest first.
  ///
  /// - Parameter last: the largest number of tasks to return; `nil` returns all.
  func tasks(step: RoundState.Step? = nil, last: Int? = nil) async throws(CommandError) -> [TaskSummary] {
    try await list("/v1/tasks" + (step.map { "?step=\($0.rawValue)" } ?? ""), most: last)
  }
  /// - Parameter lastRounds: how many of the last completed rounds, and their models, to include; `nil` leaves the number to central.
  func task(_ task: TaskID, lastRounds: Int? = nil) async throws(CommandError) -> TaskDetail {
    try await get("/v1/tasks/\(task)" + (lastRounds.map { "?rounds=last:\($0)" } ?? ""))
  }
  /// The task with all of its rounds and their contributions.
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

  /// The models of a task, newest first.
  ///
  /// - Parameters:
  ///   - round: returns only models of earlier rounds; `nil` returns those of all rounds.
  ///   - last: the largest number of models to return; `nil` returns all.
  func models(_ task: TaskID, before round: Int? = nil, last: Int? = nil) async throws(CommandError) -> [ModelCheckpoint] {
    try await list("/v1/tasks/\(task)/models" + (round.map { "?after=\($0)" } ?? ""), most: last)
  }

  /// The completed rounds of a task, newest first.
  ///
  /// - Parameter last: the largest number of rounds to return; `nil` returns all.
  func rounds(_ task: TaskID, last: Int? = nil) async throws(CommandError) -> [RoundSummary] {
    try await list("/v1/tasks/\(task)/rounds", most: last)
  }

  /// The task and its last completed rounds.
  func picture(_ task: TaskID, lastRounds: Int? = nil) async throws(CommandError) -> TaskPicture {
    TaskPicture(detail: try await self.task(task, lastRounds: 0), rounds: try await rounds(task, last: lastRounds).reversed())
  }

  /// The events of a task from central's stream, see ``TaskNews``. The sequence ends, or throws ``CommandError``, when the connection does.
  ///
  /// - Parameter id: the id of the last event that was received.
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

  /// Fetches a list page by page.
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

  /// The address in a header `Link: <…>; rel="next"`.
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

  /// A region's record of a task. Call this on a client for the region's own ops address.
  func regionTask(_ task: TaskID) async throws(CommandError) -> RegionTask { try await get("/v1/tasks/\(task)?rounds=all") }

  /// Whether the server answers its health check.
  func isHealthy() async -> Bool {
    do {
      return try await client.send("GET", central + "/healthz").status == 200
    } catch {
      return false
    }
  }

  /// Pushes a task. The client chooses the id, so a repeated push makes no second task.
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

  /// Uploads a blob that a task refers to. It is fine if central has the same bytes already.
  func store(blob bytes: [UInt8], digest: Digest) async throws(CommandError) {
    do {
      _ = try await client.send(
        "POST", central + "/v1/blobs", body: bytes, contentType: "application/octet-stream",
        headers: [("Content-Digest", digest.contentDigest)])
    } catch {
      throw CommandError(error, central: central)
    }
  }

  /// Downloads a model. The file appears only when it is complete and its digest matches.
  func download(_ model: ModelCheckpoint, to path: String) async throws(CommandError) {
    do {
      try await client.download("\(central)/v1/blobs/\(model.digest)", to: path, expecting: model.digest, maximumBytes: model.bytes)
    } catch {
      throw CommandError(error, central: central)
    }
    // An incomplete download is private to its owner, but a complete model is an ordinary file.
    guard chmod(path, 0o644) == 0 else {
      throw CommandError(.unexpected, "the mode of \(path) cannot be set: \(String(cString: strerror(errno)))")
    }
  }

  /// Posts a value and reads the answer.
  func post<T: Decodable & Sendable>(_ path: String, _ value: some Encodable & Sendable) async throws(CommandError) -> T {
    do {
      return try await client.send("POST", central + path, json: value).decode(T.self)
    } catch {
      throw CommandError(error, central: central)
    }
  }

  /// Posts a value. A successful answer has no content.
  func post(_ path: String, _ value: some Encodable & Sendable) async throws(CommandError) {
    do {
      _ = try await client.send("POST", central + path, json: value)
    } catch {
      throw CommandError(error, central: central)
    }
  }

  func get<T: Decodable & Sendable>(_ path: String) async throws(CommandError) -> T {
    do {
      return try await client.get(T.self, from: central + path)
    } catch {
      throw CommandError(error, central: central)
    }
  }
}
