import FoundationEssentials
import Glibc
import MusterMQTT
import Synchronization
import TestSupport
import Testing

/// Listeners that refuse a client. The client is told the right reason at once, and its thread does not spin in the meantime.
@Suite(.serialized, .timeLimit(.minutes(1)))
struct MQTTRefusalTests {
  /// The first failure of a client of this listener. Also checks the processor time of a few attempts.
  ///
  /// - Parameter authority: the file that the client trusts; `nil` uses plain TCP.
  private func failure(port: Int, authority: String?) async throws -> MQTTError {
    var configuration = MQTTConfiguration(host: "localhost", port: port, clientID: "test")
    configuration.authorityFile = authority
    configuration.connectTimeout = .seconds(4)
    let started = ContinuousClock.now
    let before = Self.processorTime()
    let error = try await withConnection(configuration) { connection in
      var events = connection.events.makeAsyncIterator()
      return try await untilDisconnected(&events)
    }
    let (wall, used) = (ContinuousClock.now - started, Self.processorTime() - before)
    #expect(wall < .seconds(2), "\(error): it is refused at once, not after \(wall)")
    #expect(used < .milliseconds(500), "\(error): \(used) of processor time")
    return error
  }

  private static func processorTime() -> Duration {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return .seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + .microseconds(Int(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec))
  }

  private func certificate(in folder: TemporaryFolder) async throws -> (certificate: String, key: String) {
    let files = (certificate: folder.file("server.crt"), key: folder.file("server.key"))
    let arguments = [
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
      "-addext", "subjectAltName=DNS:localhost", "-keyout", files.key, "-out", files.certificate,
    ]
    let openssl = try ChildProcess("openssl", arguments, log: folder.file("openssl.log"))
    try #require(try await openssl.wait() == 0, "\(openssl.log)")
    return files
  }

  @Test("A broker that asks for a client certificate", arguments: ["tlsv1.2", "tlsv1.3"])
  func clientCertificate(version: String) async throws {
    let folder = try TemporaryFolder()
    let files = try await certificate(in: folder)
    let broker = try await BrokerProcess.started(
      .with {
        $0.certificate = files
        $0.lines = ["cafile \(files.certificate)", "require_certificate true", "tls_version \(version)"]
      })
    let error = try await failure(port: broker.port, authority: files.certificate)
    #expect("\(error)".hasPrefix("the TLS session with the broker failed: ") && "\(error)".contains("client certificate"), "\(error)")
  }

  @Test("A broker whose certificate another authority made, and one that speaks TLS to a plain client")
  func wrongAuthority() async throws {
    let (folder, foreign) = (try TemporaryFolder(), try TemporaryFolder())
    let files = try await certificate(in: folder)
    let other = try await certificate(in: foreign)
    let broker = try await BrokerProcess.started(.with { $0.certificate = files })
    let error = try await failure(port: broker.port, authority: other.certificate)
    #expect(error == .tls("the broker's certificate is not signed by an authority in \(other.certificate)"))
    let plain = try await failure(port: broker.port, authority: nil)
    #expect("\(plain)".contains("if the broker expects TLS at this port, set broker.authorityFile"), "\(plain)")
  }

  @Test("TLS to a broker without TLS")
  func plainBroker() async throws {
    let folder = try TemporaryFolder()
    let files = try await certificate(in: folder)
    let broker = try await BrokerProcess.started()
    let error = try await failure(port: broker.port, authority: files.certificate)
    #expect("\(error)".contains("check that the broker is running and uses TLS at this port"), "\(error)")
  }

  enum Manner: CaseIterable {
    /// Accepts the connection and closes it at once.
    case close
    /// Accepts and resets the connection, as a proxy does whose broker is down.
    case reset
    /// Reads what the client sends, then resets.
    case readAndReset
    /// Answers like a web server.
    case answer
  }

  @Test("A listener that accepts, and is no broker", arguments: Manner.allCases, [true, false])
  func listener(manner: Manner, overTLS: Bool) async throws {
    let folder = try TemporaryFolder()
    let files = try await certificate(in: folder)
    let (listener, port) = try Loopback.listener()
    defer { shutdown(listener, Int32(SHUT_RDWR)) }
    Loopback.thread {
      var buffer = [UInt8](repeating: 0, count: 4096)
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else {
          close(listener)
          return
        }
        switch manner {
        case .close: close(client)
        case .reset: Loopback.reset(client)
        case .readAndReset:
          _ = recv(client, &buffer, buffer.count, 0)
          Loopback.reset(client)
        case .answer:
          _ = recv(client, &buffer, buffer.count, 0)
          _ = Loopback.send(client, Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)[...])
          close(client)
        }
      }
    }
    let error = try await failure(port: port, authority: overTLS ? files.certificate : nil)
    let text = "\(error)"
    let expected =
      switch (manner, overTLS) {
      case (.answer, true): "does not speak TLS at this port"
      case (_, true): "during the TLS handshake"
      case (_, false): "before the broker answered CONNECT"
      }
    #expect(text.contains(expected), "\(text)")
  }
}
