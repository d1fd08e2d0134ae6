import Dispatch
import Glibc
import TestSupport

/// A server that answers 413 after the head of a request, reads none of the body, and closes the connection.
final class EarlyServer: Sendable {
  let port: Int
  private let descriptor: Int32

  init() throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    self.descriptor = descriptor
    port = try freePort()
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    let code = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    guard code == 0, listen(descriptor, 8) == 0 else { throw TestSupportError("no server") }
    DispatchQueue(label: "early").async {
      let connection = accept(descriptor, nil, nil)
      var buffer = [UInt8](repeating: 0, count: 4096)
      _ = recv(connection, &buffer, buffer.count, 0)
      let text = Array("HTTP/1.1 413 X\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig".utf8)
      _ = send(connection, text, text.count, Int32(MSG_NOSIGNAL))
      // Keep the connection until the client has read the answer, because closing it with unread bytes would reset it.
      shutdown(connection, Int32(SHUT_WR))
      while recv(connection, &buffer, buffer.count, 0) > 0 {}
      close(connection)
    }
  }

  deinit { close(descriptor) }

  var address: String { "http://127.0.0.1:\(port)/" }
}
