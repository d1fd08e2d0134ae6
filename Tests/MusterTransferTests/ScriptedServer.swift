import Glibc
import MusterGround
import MusterSchema
import Synchronization
import TestSupport

@testable import MusterTransfer

/// An HTTP server that sends exactly the bytes that a test specifies. Each connection has a thread.
final class ScriptedServer: Sendable {
  struct Request: Sendable {
    var head: String
    var body: [UInt8]

    var method: String { String(head.prefix { $0 != " " }) }
    var path: String { head.split(separator: " ").dropFirst().first.map(String.init) ?? "" }

    func header(_ name: String) -> String? {
      head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("\(name.lowercased()): ") }.map {
        String($0.dropFirst(name.utf8.count + 2))
      }
    }
  }

  enum Answer: Sendable {
    case bytes([UInt8])
    /// Sends these bytes and closes the connection.
    case last([UInt8])
    /// Sends nothing for as long as the client waits.
    case silence

    static func text(_ text: String) -> Answer { .bytes(Array(text.utf8)) }

    static func answer(_ status: Int, _ body: [UInt8] = [], headers: [String] = []) -> Answer {
      let lines = ["HTTP/1.1 \(status) X", "Content-Length: \(body.count)"] + headers
      return .bytes(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body)
    }
  }

  let port: Int
  private let descriptor: Int32
  private let respond: @Sendable (Request) -> Answer
  private let log = Mutex<(connections: Int, requests: [Request])>((0, []))
  private let ended = Mutex(0)

  /// - Parameter host: the last number of the loopback address on which the server listens.
  init(at host: UInt32 = 1, _ respond: @escaping @Sendable (Request) -> Answer) throws {
    self.respond = respond
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    self.descriptor = descriptor
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t((127 << 24) + host).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && listen(descriptor, 64) == 0 ? getsockname(descriptor, $0, &size) : -1
      }
    }
    guard code == 0 else { throw TestSupportError("no server: \(String(cString: strerror(errno)))") }
    port = Int(UInt16(bigEndian: address.sin_port))
    let owner = Unowned(self)
    // Threads are used, because dispatch queues share a pool with the rest of the process and may have to wait for a thread.
    try Threads.start { Self.accept(descriptor, owner) }
  }

  deinit {
    shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
  }

  var address: String { "http://127.0.0.1:\(port)" }
  var connections: Int { log.withLock(\.connections) }
  var requests: [Request] { log.withLock(\.requests) }
  /// The number of connections that the client has closed.
  var closed: Int { ended.withLock(\.self) }

  private struct Unowned: Sendable {
    weak let server: ScriptedServer?
    init(_ server: ScriptedServer) { self.server = server }
  }

  private static func accept(_ descriptor: Int32, _ owner: Unowned) {
    while true {
      let connection = Glibc.accept(descriptor, nil, nil)
      guard connection >= 0, let server = owner.server else { return }
      server.log.withLock { $0.connections += 1 }
      var one: Int32 = 1
      setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
      do throws(ThreadError) {
        try Threads.start { serve(connection, owner) }
      } catch {
        close(connection)
      }
    }
  }

  private static func serve(_ connection: Int32, _ owner: Unowned) {
    defer {
      close(connection)
      owner.server?.ended.withLock { $0 += 1 }
    }
    var pending: [UInt8] = []
    while let request = read(connection, &pending) {
      guard let server = owner.server else { return }
      server.log.withLock { $0.requests.append(request) }
      switch server.respond(request) {
      case .bytes(let bytes): guard say(connection, bytes) else { return }
      case .last(let bytes):
        _ = say(connection, bytes)
        return
      case .silence: continue
      }
    }
  }

  private static func read(_ connection: Int32, _ pending: inout [UInt8]) -> Request? {
    let mark = Array("\r\n\r\n".utf8)
    var buffer = [UInt8](repeating: 0, count: 65_536)
    func more() -> Bool {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { return false }
      pending += buffer[..<count]
      return true
    }
    while true {
      if let end = pending.indices.first(where: { pending[$0...].starts(with: mark) }) {
        var request = Request(head: String(decoding: pending[..<end], as: UTF8.self), body: [])
        pending.removeFirst(end + 4)
        let length = request.header("content-length").flatMap { Int($0) } ?? 0
        while pending.count < length { guard more() else { return nil } }
        request.body = Array(pending[..<length])
        pending.removeFirst(length)
        return request
      }
      guard more() else { return nil }
    }
  }

  private static func say(_ connection: Int32, _ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }
}
