import FoundationEssentials
import Glibc
import Synchronization

/// A real mosquitto on a free port of the loopback interface.
package final class BrokerProcess: Sendable {
  package struct Options: Sendable {
    /// Whether retained messages are kept over a clean restart, for which mosquitto writes a snapshot.
    package var persistence = false
    /// User names and passwords. If there are any, clients without one are refused.
    package var users: [String: String] = [:]
    /// The content of an ACL file.
    package var accessList: String?
    /// Certificate and key files. With them, the listener accepts only TLS.
    package var certificate: (certificate: String, key: String)?
    /// Additional lines of configuration.
    package var lines: [String] = []

    package init() {}
  }

  package let port: Int
  package let folder: TemporaryFolder
  private let configuration: String
  private let process = Mutex<ChildProcess?>(nil)

  /// Writes the configuration. The broker does not run before `start`.
  package init(_ options: Options = Options(), port: Int? = nil) async throws {
    folder = try TemporaryFolder()
    self.port = try port ?? freePort()
    var lines = ["listener \(self.port) 127.0.0.1", "user root", "log_dest stderr", "log_type all", "set_tcp_nodelay true"]
    lines.append("allow_anonymous \(options.users.isEmpty)")
    lines.append("persistence \(options.persistence)")
    lines.append("persistence_location \(folder.path)/")
    if !options.users.isEmpty {
      lines.append("password_file \(try await Self.writePasswords(options.users, in: folder))")
    }
    if let list = options.accessList { lines.append("acl_file \(try folder.write(list, to: "acl"))") }
    if let (certificate, key) = options.certificate { lines += ["certfile \(certificate)", "keyfile \(key)"] }
    configuration = try folder.write((lines + options.lines).joined(separator: "\n") + "\n", to: "mosquitto.conf")
  }

  /// Makes a broker from the caller's configuration file, which listens on `port` of the loopback interface.
  package init(configuration: String, port: Int, folder: TemporaryFolder) {
    self.configuration = configuration
    self.port = port
    self.folder = folder
  }

  /// Makes and starts a broker.
  package static func started(_ options: Options = Options()) async throws -> BrokerProcess {
    let broker = try await BrokerProcess(options)
    try await broker.start()
    return broker
  }

  package var log: String { process.withLock(\.self)?.log ?? "" }

  /// Starts the broker and waits until it accepts connections.
  package func start() async throws {
    let child = try ChildProcess("mosquitto", ["-c", configuration], log: folder.file("mosquitto.log"))
    process.withLock { $0 = child }
    _ = try await eventually { accepts(port: port) || child.exitStatus != nil }
    if let status = child.exitStatus { throw TestSupportError("mosquitto ended with \(status): \(child.log.suffix(2000))") }
  }

  /// Ends the broker in order: connections are closed and persistence is written.
  package func stop() async throws { try await end(SIGTERM) }

  /// Ends the broker with SIGKILL.
  package func kill() async throws { try await end(SIGKILL) }

  /// Sends a signal without waiting for its effect.
  package func signal(_ number: Int32) { process.withLock(\.self)?.signal(number) }
  /// The exit status as in ``ChildProcess``; also `nil` when the broker was never started.
  package var exitStatus: Int32? { process.withLock(\.self)?.exitStatus }

  /// Stops the broker with SIGSTOP until `thaw`. The system still accepts connections, but nothing is answered.
  package func freeze() { process.withLock(\.self)?.signal(SIGSTOP) }
  package func thaw() { process.withLock(\.self)?.signal(SIGCONT) }

  package func restart() async throws {
    try await stop()
    try await start()
  }

  private func end(_ signal: Int32) async throws {
    guard let child = process.withLock(\.self) else { return }
    child.signal(signal)
    try await child.wait()
  }

  /// Writes a password file with mosquitto's own tool.
  package static func writePasswords(_ users: [String: String], in folder: TemporaryFolder) async throws -> String {
    let file = try folder.write("", to: "passwords")
    for (user, password) in users.sorted(by: { $0.key < $1.key }) {
      let tool = try ChildProcess("mosquitto_passwd", ["-b", file, user, password], log: folder.file("passwd.log"))
      guard try await tool.wait() == 0 else { throw TestSupportError("mosquitto_passwd: \(tool.log)") }
    }
    return file
  }
}
