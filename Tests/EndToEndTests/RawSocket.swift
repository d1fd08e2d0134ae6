import Glibc
import TestSupport

/// A TCP connection to the loopback interface on which any bytes can be sent. It blocks, with a timeout.
final class RawSocket: Sendable {
  private let descriptor: Int32

  init(port: Int, seconds: Int = 5) throws(TestSupportError) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw TestSupportError("no socket: \(String(cString: strerror(errno)))") }
    var time = timeval(tv_sec: seconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
    }
    guard code == 0 else { throw TestSupportError("no connection to port \(port): \(String(cString: strerror(errno)))") }
  }

  deinit { close(descriptor) }

  /// - Returns: false if the other side has closed the connection in the meantime.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Receives up to `limit` bytes, or fewer at the end of the connection or at the timeout.
  func receive(upTo limit: Int, until isEnough: ([UInt8]) -> Bool = { _ in false }) -> [UInt8] {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    while all.count < limit, !isEnough(all) {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      guard count > 0 else { break }
      all += buffer[0..<count]
    }
    return all
  }
}

/// MQTT 3.1.1 without a library, for thousands of messages and for packets that no library sends.
struct RawMQTT {
  private let socket: RawSocket

  /// Connects with a client id that no program uses.
  init(port: Int) throws(TestSupportError) {
    socket = try RawSocket(port: port, seconds: 20)
    let id = "stranger-\(UInt32.random(in: .min ... .max))"
    socket.send(Self.packet(0x10, Self.text("MQTT") + [4, 2, 0, 60] + Self.text(id)))
    guard socket.receive(upTo: 4).starts(with: [0x20, 2, 0, 0]) else { throw TestSupportError("the broker does not take a connection") }
  }

  /// Publishes without an acknowledgement.
  func publish(_ payload: [UInt8], to topic: String, retained: Bool = false) {
    socket.send(Self.packet(retained ? 0x31 : 0x30, Self.text(topic) + payload))
  }

  /// Returns when the broker has handled everything sent before.
  func flush() throws(TestSupportError) {
    socket.send(Self.packet(0x32, Self.text("endtoend/flush") + [0, 1]))
    guard socket.receive(upTo: 4).starts(with: [0x40, 2, 0, 1]) else { throw TestSupportError("the broker did not acknowledge") }
  }

  func send(_ bytes: [UInt8]) { socket.send(bytes) }

  static func text(_ text: String) -> [UInt8] { [UInt8(text.utf8.count >> 8), UInt8(text.utf8.count & 255)] + text.utf8 }

  static func packet(_ type: UInt8, _ body: [UInt8]) -> [UInt8] {
    var length: [UInt8] = []
    var rest = body.count
    repeat {
      length.append(UInt8(rest & 127) | (rest > 127 ? 128 : 0))
      rest >>= 7
    } while rest > 0
    return [type] + length + body
  }
}
