import Dispatch
import FoundationEssentials
import Glibc
import HTTPTypes
import Hummingbird
import Logging
import MusterCoordination
import MusterDataPlane
import MusterSchema
import MusterServer
import MusterStorage
import MusterTensors
import NIOCore
import Synchronization

/// The routes of a data listener and an ops listener as programs serve them, with heads that nobody checked before, and requests that overlap.
///
/// An input is up to eight requests, with an empty line between them. Each begins with a line `METHOD ADDRESS`, where `@` is the address of the
/// one contribution that there is and `@?` that with its digest; then a field a line, where `#` stands for the good update's length and `*` for
/// its digest; `>` and two numbers: bytes of the good update from there on; `=` and a text: these bytes. All run at once; each body comes piece by
/// piece, with the others in between. Afterwards the sender of the good update must get it through, and what is stored must be its bytes.
func routes(_ input: ArraySlice<UInt8>) {
  let requests = RouteScript.read(input)
  guard !requests.isEmpty else { return }
  let world = RouteWorld.shared
  waitFor {
    await withTaskGroup(of: Void.self) { group in
      for request in requests { group.addTask { await world.play(request) } }
    }
    await world.finish()
  }
}

/// One request as an input describes it.
struct RouteScript: Sendable {
  var method = "GET"
  var address = "/"
  var fields: [(name: String, value: String)] = []
  var pieces: [[UInt8]] = []

  static func read(_ input: ArraySlice<UInt8>) -> [RouteScript] {
    var requests: [RouteScript] = []
    var current: RouteScript?
    for line in input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      guard let first = line.first else {
        if let script = current { requests.append(script) }
        current = nil
        continue
      }
      if current == nil {
        let words = String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 1)
        current = RouteScript(method: words.first.map(String.init) ?? "GET", address: words.count > 1 ? String(words[1]) : "/")
      } else if first == UInt8(ascii: ">") {
        let numbers = String(decoding: line.dropFirst(), as: UTF8.self).split(separator: " ").map { Int($0) ?? 0 }
        current?.pieces.append(RouteWorld.good(from: numbers.first ?? 0, count: numbers.count > 1 ? numbers[1] : .max))
      } else if first == UInt8(ascii: "=") {
        current?.pieces.append(Array(line.dropFirst()))
      } else {
        let parts = String(decoding: line, as: UTF8.self).split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { current?.fields.append((String(parts[0]), String(parts[1]).trimmingSpaces)) }
      }
      if requests.count == 8 { return requests }
    }
    if let script = current { requests.append(script) }
    return Array(requests.prefix(8))
  }

  var request: Request? {
    guard let method = HTTPRequest.Method(rawValue: method) else { return nil }
    let path = address.replacing("@?", with: "\(RouteWorld.address)?digest=\(RouteWorld.digest)").replacing("@", with: RouteWorld.address)
    var head = HTTPRequest(method: method, scheme: "http", authority: nil, path: path)
    for (name, value) in fields {
      let value = value.replacing("#", with: "\(RouteWorld.update.count)").replacing("*", with: RouteWorld.digest.contentDigest)
      if name.lowercased() == "host" { head.authority = value }
      guard let name = HTTPField.Name(name), HTTPField.isValidValue(value) else { continue }
      head.headerFields.append(HTTPField(name: name, value: value))
    }
    let pieces = pieces
    let body = AsyncStream<ByteBuffer> { continuation in
      for piece in pieces { continuation.yield(ByteBuffer(bytes: piece)) }
      continuation.finish()
    }
    return Request(
      head: head,
      body: RequestBody(
        asyncSequence: body.map { buffer in
          // The other requests go on in between.
          for _ in 0..<4 { await Task.yield() }
          return buffer
        }))
  }
}

extension String {
  fileprivate var trimmingSpaces: String { String(drop { $0 == " " }) }
}

/// A store, a ledger that takes one update, and the routes before them. Made once; what an input leaves is removed after it.
final class RouteWorld: Sendable {
  static let address = "/v1/tasks/digits/rounds/3/updates/north/pi-1"
  static let shared = RouteWorld()

  static let model: [UInt8] = bytes([Float](repeating: 0, count: 12), metadata: [:])
  static let base = Digest(of: model)
  static let update: [UInt8] = bytes(
    (0..<12).map { Float($0) },
    metadata: [
      "muster.task": "digits", "muster.round": "3", "muster.base": "\(base)", "muster.weight": "10", "muster.content": "parameters",
    ])
  static let digest = Digest(of: update)

  private let store: StateFolder
  private let responder: RouterResponder<RouteContext>
  private var context: RouteContext { RouteContext(logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }) }

  private init() {
    do {
      let folder = "\(Scratch.folder)-store"
      store = try StateFolder(folder: folder, partials: PartialUploadLimits(count: 8, perOwner: 2, bytes: 1 << 20))
      let staged = try store.stage()
      try staged.write(Self.model)
      require(try store.adopt(staged) == Self.base, "the base model is another")
      let source = StoredBlobs(store: store)
      let listener = ListenerConfiguration(name: "data", port: 0, names: [], limits: ListenerLimits(requestsPerSecond: 0))
      let router = makeRouter(listener, log: RefusalLog("data", logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }))
      let limits = UploadLimits(count: 6, bytes: 1 << 20)
      ContributionRoutes(ledger: OneUpdateLedger(), source: source, state: store, limits: limits).add(to: router)
      BlobRoutes(source: source, state: store, maximumBytes: 1 << 16).add(to: router)
      responder = router.buildResponder()
    } catch {
      fail("no store: \(error)")
    }
  }

  private static func bytes(_ numbers: [Float], metadata: [String: String]) -> [UInt8] {
    do {
      return try SafetensorsWriter.bytes([try Tensor(name: "w", shape: [3, 4], floats: numbers)], metadata: metadata)
    } catch {
      fail("the model cannot be written: \(error)")
    }
  }

  /// Part of the good update, whatever is asked for.
  static func good(from start: Int, count: Int) -> [UInt8] {
    let start = min(max(start, 0), update.count)
    return Array(update[start..<min(update.count, start + min(max(count, 0), update.count))])
  }

  func play(_ script: RouteScript) async {
    guard let request = script.request else { return }
    let (status, body) = await answer(request)
    require(
      [200, 201, 202, 204, 206, 304, 400, 403, 404, 408, 409, 410, 413, 415, 416, 422, 429, 503].contains(status), "\(script): \(status)")
    if status >= 400 { requireFitForLogs(String(decoding: body.prefix { $0 != 0x0a }, as: UTF8.self)) }
  }

  private func answer(_ request: Request) async -> (status: Int, body: [UInt8]) {
    do {
      let response = try await responder.respond(to: request, context: context)
      let collector = BodyCollector()
      // A body that cannot be read to its end ends the connection: that is an answer, too.
      try? await response.body.write(collector)
      return (response.status.code, collector.bytes)
    } catch {
      fail("a request is not answered: \(error)")
    }
  }

  /// The good update gets through, whatever came before, and is stored as it is.
  func finish() async {
    var beginsAnew = false
    for attempt in 0... {
      let head = beginsAnew ? 0 : await offset()
      var script = RouteScript(method: head == 0 ? "PUT" : "PATCH", address: head == 0 ? "@" : "@?")
      script.fields = [
        ("Upload-Complete", "?1"), ("Repr-Digest", "*"), ("Content-Length", "\(Self.update.count - head)"),
        ("Content-Type", "application/partial-upload"), ("Upload-Offset", "\(head)"), ("Host", "127.0.0.1"),
      ]
      script.pieces = [Self.good(from: head, count: .max)]
      guard let request = script.request else { fail("a good request is none") }
      let (status, body) = await answer(request)
      if status == 201 || status == 200 { break }
      // The input had left other bytes under the good digest, or another length: a client begins at 0 then.
      if head > 0, [400, 409, 422].contains(status) {
        beginsAnew = true
        continue
      }
      require(
        [429, 503].contains(status) && attempt < 100,
        "good bytes are answered with \(status): \(String(decoding: body, as: UTF8.self))")
    }
    guard let path = await store.file(of: Self.digest) else { fail("what was answered with 201 is not stored") }
    do {
      require(try Digest(ofFile: path) == Self.digest, "what was answered with 201 holds other bytes")
    } catch {
      fail("what was answered with 201 cannot be read: \(error)")
    }
    store.partials.discard(OneUpdateLedger.name)
    require(store.partials.totals.count <= 8, "more half uploads are kept than may be")
    for prefix in 0..<BlobFolder.prefixes {
      _ = store.blobs.discard(store.blobs.old(prefix: prefix, olderThan: .seconds(-10)).subtracting([Self.base]), olderThan: .seconds(-10))
    }
    _ = store.blobs.clearStaging(olderThan: .seconds(-10))
  }

  private func offset() async -> Int {
    var script = RouteScript(method: "HEAD", address: "@?")
    script.fields = [("Host", "127.0.0.1")]
    guard let request = script.request else { fail("a good request is none") }
    do {
      let response = try await responder.respond(to: request, context: context)
      let text = HTTPField.Name("Upload-Offset").flatMap { response.headers[$0] }
      // More than the update has was begun without a length, by another request of the input: a client begins anew.
      return text.flatMap { Int($0) }.map { (0...Self.update.count).contains($0) ? $0 : 0 } ?? 0
    } catch {
      fail("a request is not answered: \(error)")
    }
  }
}

private struct StoredBlobs: BlobSource {
  let store: StateFolder

  func locate(_ digest: Digest) async throws(Problem) -> String {
    guard let path = await store.file(of: digest) else { throw .notFound("there is no blob \(digest) here") }
    return path
  }
}

/// Admits everybody to one task's third round, and takes what is good any number of times.
private struct OneUpdateLedger: Ledger {
  static let name = "digits, round 3, train, north/pi-1"

  func admission(_ key: ContributionKey, ticket: Ticket?) async -> UploadAdmission {
    guard key.task.rawValue == "digits", key.round == 3 else { return .unknown }
    return .open(UploadTerms(base: RouteWorld.base, maximumWeight: 1e9, maximumBytes: 1 << 16))
  }

  func accept(_ contribution: ContributionRecord, as key: ContributionKey) async -> Coordinator.Answer { .stored }
  func counted(_ key: ContributionKey) async -> ContributionRecord? { nil }
  func phaseLedger(task: TaskID, round: Int, phase: Phase) async -> PhaseLedger? { nil }
}

/// What an answer's body holds.
private final class BodyCollector: ResponseBodyWriter, Sendable {
  private let kept = Mutex<[UInt8]>([])

  var bytes: [UInt8] { kept.withLock(\.self) }

  func write(_ buffer: ByteBuffer) async throws { kept.withLock { $0 += buffer.readableBytesView } }
  func finish(_ trailingHeaders: HTTPFields?) async throws {}
}

/// Runs it to its end: libFuzzer's main thread is not one of the cooperative ones, and may block.
private func waitFor(_ work: @escaping @Sendable () async -> Void) {
  let isDone = DispatchSemaphore(value: 0)
  Task.detached {
    await work()
    isDone.signal()
  }
  isDone.wait()
}

func routeSeeds() throws -> [[UInt8]] {
  let (count, half) = (RouteWorld.update.count, RouteWorld.update.count / 2)
  let begin = "PUT @\nUpload-Complete: ?0\nUpload-Length: #\nRepr-Digest: *\nContent-Length: \(half)\n> 0 \(half)"
  let rest =
    "PATCH @?\nContent-Type: application/partial-upload\nUpload-Complete: ?1\nUpload-Offset: \(half)\nContent-Length: \(count - half)\n> \(half) \(count)"
  let whole = "PUT @\nUpload-Complete: ?1\nRepr-Digest: *\nContent-Length: #\n> 0 100\n> 100 \(count)"
  let plain = "PUT @\nContent-Digest: *\nContent-Length: #\n> 0 \(count)"
  let end = "PATCH @?\nContent-Type: application/partial-upload\nUpload-Complete: ?1\nUpload-Offset: #\nContent-Length: 0"
  let huge =
    "PATCH @?\nContent-Type: application/partial-upload\nUpload-Complete: ?0\nUpload-Offset: \(half)\nContent-Length: 9223372036854775807\n> \(half) 10"
  let far =
    "PATCH @?\nContent-Type: application/partial-upload\nUpload-Complete: ?0\nUpload-Offset: 999999999999999\nContent-Length: 5\n=abcde"
  let (head, cancel) = ("HEAD @?", "DELETE @?")
  let evaluation = "PUT /v1/tasks/digits/rounds/3/evaluations/north/pi-1\n={\"base\":\"\(RouteWorld.base)\",\"metrics\":{},\"weight\":1}"
  let blob = "GET /v1/blobs/\(RouteWorld.base)\nRange: bytes=0-7\nIf-Range: \"x\""
  let page = "POST /v1/blobs\nHost: evil.example\nOrigin: http://evil.example\nSec-Fetch-Site: cross-site\n=abc"
  return [
    [begin, rest], [whole, whole, head], [begin, rest, end, whole], [begin, huge, huge], [begin, far, plain], [rest, cancel, begin, end],
    [evaluation, blob, page, "OPTIONS @"], [plain, plain, whole, begin, rest, rest, end, head],
  ].map { Array($0.joined(separator: "\n\n").utf8) }
}
