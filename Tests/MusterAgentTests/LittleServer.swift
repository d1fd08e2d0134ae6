import Glibc
import Synchronization
import TestSupport

/// The part of a coordinator's data plane that an agent uses: one thread for each connection, answers from a closure.
final class LittleServer: Sendable {
  struct Request: Sendable {
    var method: String
    var path: String
    var headers: [String: String]
    var body: [UInt8]
  }

  struct Answer: Sendable {
    var status: Int
    var body: [UInt8] = []
    var headers: [(String, String)] = []
  }

  let port: Int
  private let listener: Int32
  private let answer: @Sendable (Request) -> Answer
  private let log = Mutex<[Request]>([])

  var requests: [Request] { log.withLock(\.self) }
  var address: String { "http://127.0.0.1:\(port)" }

  init(_ answer: @escaping @Sendable (Request) -> Answer) throws {
    self.answer = answer
    (listener, port) = try Loopback.listener()
    let descriptor = listener
    Loopback.thread { [weak self] in
      while true {
        let connection = accept(descriptor, nil, nil)
        guard connection >= 0, let server = self else { return }
        Loopback.thread { server.serve(connection) }
      }
    }
  }

  func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  private func serve(_ connection: Int32) {
    defer { close(connection) }
    var buffer: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
      let end = Array("\r\n\r\n".utf8)
      guard let head = buffer.firstRange(of: end) else {
        let count = recv(connection, &chunk, chunk.count, 0)
        guard count > 0 else { return }
        buffer += chunk[..<count]
        continue
      }
      let lines = String(decoding: buffer[..<head.lowerBound], as: UTF8.self).split(separator: "\r\n")
      let words = lines[0].split(separator: " ")
      var headers: [String: String] = [:]
      for line in lines.dropFirst() {
        let parts = line.split(separator: ":", maxSplits: 1)
        if parts.count == 2 { headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " }) }
      }
      let length = headers["content-length"].flatMap { Int($0) } ?? 0
      buffer.removeFirst(head.upperBound)
      while buffer.count < length {
        let count = recv(connection, &chunk, chunk.count, 0)
        guard count > 0 else { return }
        buffer += chunk[..<count]
      }
      let request = Request(
        method: String(words[0]), path: String(words[1]), headers: headers, body: Array(buffer[..<length]))
      buffer.removeFirst(length)
      log.withLock { $0.append(request) }
      let answer = answer(request)
      var text = "HTTP/1.1 \(answer.status) X\r\nContent-Length: \(answer.body.count)\r\n"
      for (name, value) in answer.headers { text += "\(name): \(value)\r\n" }
      let bytes = Array((text + "\r\n").utf8) + answer.body
      guard send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { return }
    }
  }
}
