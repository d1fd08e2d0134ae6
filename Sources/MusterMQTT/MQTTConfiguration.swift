/// The broker, the identity and the limits of one client.
package struct MQTTConfiguration: Hashable, Sendable {
  package var host: String
  package var port: Int
  /// The client id, which must be unique at the broker: a second client with the same id disconnects the first.
  package var clientID: String
  package var username: String?
  package var password: String?
  /// A PEM file with the authorities that may sign the broker's certificate. With it, the connection uses TLS and the broker's name is
  /// verified. Without it, the connection is plain TCP.
  package var authorityFile: String?
  /// The PEM files of the certificate that shows the broker who the client is, and of its key. They need ``authorityFile``, and are read
  /// again on every connection.
  package var certificateFile: String?
  package var keyFile: String?
  /// After this time without traffic the client pings. After one and a half times this, the broker publishes the Will. 5 to 65,535 s.
  package var keepAlive: Duration = .seconds(30)
  /// The limit for each step of connecting: TCP and TLS, the broker's answer, the subscriptions. The resolver has its own limit.
  package var connectTimeout: Duration = .seconds(10)
  package var reconnect: MQTTReconnectDelays = .coordinator
  /// The bytes of messages that may wait to be sent or acknowledged.
  package var outboxLimit = 4 << 20
  /// The bytes of messages that may wait for the program to read them.
  package var inboxLimit = 4 << 20
  /// The largest payload in bytes, in both directions. The broker must allow a little more (`max_packet_size`).
  package var maximumPayload = 64 << 10

  package init(host: String, port: Int = 1883, clientID: String) {
    self.host = host
    self.port = port
    self.clientID = clientID
  }

  private var scheme: String { authorityFile == nil ? "mqtt" : "mqtts" }
  /// `mqtt://host:port`, or `mqtts://host:port` for a connection with TLS.
  package var url: String { "\(scheme)://\(address)" }

  /// Host and port, with an IPv6 address in brackets.
  package var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  func validate() throws(MQTTError) {
    func check(_ holds: Bool, _ message: String) throws(MQTTError) {
      guard holds else { throw .configuration("MQTT: \(message)") }
    }
    try check(!host.isEmpty && !host.utf8.contains(0), "the broker's host is empty or contains a NUL")
    try check((1...65_535).contains(port), "the broker's port \(port) must be between 1 and 65535")
    try check(
      (1...65_535).contains(clientID.utf8.count) && !clientID.utf8.contains(0), "the client id is empty, too long or contains a NUL")
    try check(password == nil || username != nil, "a password needs a user name")
    try check((certificateFile == nil) == (keyFile == nil), "a certificate needs its key, and a key its certificate")
    try check(certificateFile == nil || authorityFile != nil, "a certificate needs the authority of the broker's certificate")
    try check(!(username ?? "").utf8.contains(0) && !(password ?? "").utf8.contains(0), "the user name or the password contains a NUL")
    try check((5...65_535).contains(keepAlive.components.seconds), "the keep-alive must be between 5 and 65535 seconds")
    try check(connectTimeout > .zero, "the connect timeout must be positive")
    try check(
      reconnect.minimum > .zero && reconnect.maximum >= reconnect.minimum,
      "the smallest reconnect delay must be positive and not above the largest")
    try check(
      (1...(256 << 20)).contains(outboxLimit) && (1...(256 << 20)).contains(inboxLimit),
      "the outbox and inbox limits must be between 1 byte and 256 MiB")
    try check((1...(16 << 20)).contains(maximumPayload), "the payload limit must be between 1 byte and 16 MiB")
  }
}

extension MQTTConfiguration: CustomStringConvertible {
  /// The broker's address, the user and the client id, without the password.
  package var description: String {
    let user = username.map { "\($0)@" } ?? ""
    return "\(scheme)://\(user)\(address) as \(clientID)"
  }
}

/// The grammar of MQTT 3.1.1, section 4.7.
enum TopicSyntax {
  static func isTopic(_ text: String) -> Bool {
    isString(text) && !text.utf8.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
  }

  static func isFilter(_ text: String) -> Bool {
    guard isString(text) else { return false }
    let levels = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    for (index, level) in levels.enumerated() {
      if level.contains(UInt8(ascii: "#")), level.count > 1 || index != levels.count - 1 { return false }
      if level.contains(UInt8(ascii: "+")), level.count > 1 { return false }
    }
    return true
  }

  private static func isString(_ text: String) -> Bool {
    (1...65_535).contains(text.utf8.count) && !text.utf8.contains(0)
  }
}
