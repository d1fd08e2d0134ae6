import Glibc
import MusterTransfer
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ProxyTests {
  @Test("A proxy of the environment is not asked: transfers go where the fleet's programs say")
  func environment() async throws {
    let proxy = try ScriptedServer { _ in .answer(502) }
    // This address is not one of those that are never sent through a proxy.
    let server = try ScriptedServer(at: 2) { _ in .answer(200, Array("direct".utf8)) }
    let names = ["http_proxy", "all_proxy", "ALL_PROXY"]
    for name in names { setenv(name, "http://127.0.0.1:\(proxy.port)", 1) }
    defer { for name in names { unsetenv(name) } }
    let answer = try await HTTPClient().send("GET", "http://127.0.0.2:\(server.port)/x")
    #expect(answer.body == Array("direct".utf8))
    #expect(proxy.requests.isEmpty)
  }

  @Test("A far side that does not take a connection is unreachable; one that took it and falls silent has timed out")
  func timeouts() async throws {
    // The system accepts no more connections for a listener whose queue is full.
    let (listener, port) = try Loopback.bound()
    listen(listener, 0)
    let filling = (0..<4).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0) }
    defer { for descriptor in filling + [listener] { close(descriptor) } }
    for descriptor in filling {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = in_port_t(port).bigEndian
      address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
      withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          _ = connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    }
    let client = try HTTPClient(HTTPConfiguration(connectSeconds: 0.5, stallSeconds: 1))
    let far = await #expect(throws: TransferError.self) { try await client.send("GET", "http://127.0.0.1:\(port)/") }
    guard case .unreachable = far else {
      Issue.record("\(String(describing: far))")
      return
    }
    let silent = try ScriptedServer { _ in .silence }
    let late = await #expect(throws: TransferError.self) { try await client.send("GET", "http://127.0.0.1:\(silent.port)/") }
    #expect(late == .timedOut(host: "127.0.0.1:\(silent.port)"))
  }
}
