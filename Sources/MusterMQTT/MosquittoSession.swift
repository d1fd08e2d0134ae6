import CMosquitto
import Glibc

/// One libmosquitto handle, for one attempt to connect and, if it succeeds, one connection. A reconnect uses a new handle, so that no state
/// remains in the library: unsent and unacknowledged messages are in Muster's own outbox.
///
/// It is confined to the thread that owns the connection. The library's callbacks run inside the calls made here.
package final class MosquittoSession {
  private let handle: OpaquePointer
  private let maximumPayload: Int
  private let deliver: (MQTTMessage) -> Void
  /// The file of authorities for a connection over TLS; `nil` for plain TCP.
  let authorityFile: String?

  /// The code of the broker's answer to CONNECT; 0 means accepted.
  package private(set) var connack: Int32?
  private(set) var acknowledged: [Int32] = []
  private(set) var oversized = 0
  /// Subscriptions that wait for an answer: the filters of each SUBSCRIBE, by its message identifier.
  private var subscribing: [Int32: (filters: [String], quality: MQTTQuality)] = [:]
  /// A filter for which the broker granted a lower quality than requested, so that a message may be lost.
  package private(set) var downgraded: String?
  package private(set) var refusedFilters: [String] = []
  /// The last error line that the library logged, the only place where a TLS failure is explained.
  private(set) var complaint: TLSComplaint?
  /// The number of callbacks from the library. If it does not change, a turn of the loop had no effect.
  private(set) var reports = 0

  package init(_ configuration: MQTTConfiguration, will: MQTTMessage?, deliver: @escaping (MQTTMessage) -> Void) throws(MQTTError) {
    _ = Self.library
    guard let handle = mosquitto_new(configuration.clientID, true, nil) else {
      throw .configuration("MQTT: the library refused the client id, or has no memory left")
    }
    self.handle = handle
    self.deliver = deliver
    maximumPayload = configuration.maximumPayload
    authorityFile = configuration.authorityFile
    // Sound: the callbacks only run inside calls of this object's methods, while it lives.
    mosquitto_user_data_set(handle, Unmanaged.passUnretained(self).toOpaque())
    setCallbacks()
    mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1)
    mosquitto_max_inflight_messages_set(handle, UInt32(Outbox.window))
    if let username = configuration.username {
      try Self.check(mosquitto_username_pw_set(handle, username, configuration.password), "the user name and the password cannot be set")
    }
    if let file = configuration.authorityFile {
      let code = mosquitto_tls_set(handle, file, nil, configuration.certificateFile, configuration.keyFile, nil)
      guard code == MOSQ_ERR_SUCCESS.rawValue else {
        let files = [file, configuration.certificateFile, configuration.keyFile].compactMap(\.self).joined(separator: ", ")
        throw .tls("one of the files \(files) cannot be read: \(Self.text(code))")
      }
      // The library's default depends on the version of OpenSSL.
      try Self.check(mosquitto_tls_opts_set(handle, 1, "tlsv1.2", nil), "TLS 1.2 cannot be set as the lowest version")
    }
    if let will {
      let code = mosquitto_will_set(
        handle, will.topic, Int32(clamping: will.payload.count), will.payload, will.quality.rawValue, will.retained)
      try Self.check(code, "the Will for \(will.topic) cannot be set")
    }
  }

  deinit {
    // If the socket is still open, this closes it without a DISCONNECT, so the broker publishes the Will.
    mosquitto_destroy(handle)
  }

  /// The socket; `nil` while there is none.
  package var descriptor: Int32? {
    let descriptor = mosquitto_socket(handle)
    return descriptor >= 0 ? descriptor : nil
  }

  package var wantsWrite: Bool { mosquitto_want_write(handle) }
  package var isSubscribing: Bool { !subscribing.isEmpty }

  /// Resolves the name and starts to connect. Blocks while the resolver does.
  ///
  /// - Parameter overIPv4: leaves out IPv6, because the library tries only the first address of a name when it does not block.
  package func open(_ configuration: MQTTConfiguration, overIPv4: Bool) throws(MQTTError) {
    let keepAlive = Int32(clamping: configuration.keepAlive.components.seconds)
    let code = mosquitto_connect_bind_async(
      handle, configuration.host, Int32(configuration.port), keepAlive, overIPv4 ? "0.0.0.0" : nil)
    let reason = errno
    switch code {
    case MOSQ_ERR_SUCCESS.rawValue: break
    case MOSQ_ERR_EAI.rawValue: throw .unreachable("the host name \(configuration.host) cannot be resolved")
    // The TCP connection was made, but the other side closed it before CONNECT was written or during the TLS handshake.
    case MOSQ_ERR_TLS.rawValue, MOSQ_ERR_CONN_LOST.rawValue: throw failure(code, reason)
    case MOSQ_ERR_ERRNO.rawValue where [EPROTO, ECONNRESET, EPIPE].contains(reason): throw failure(code, reason)
    case MOSQ_ERR_ERRNO.rawValue: throw .unreachable("\(configuration.address): \(String(cString: strerror(reason)))")
    default: throw .unreachable("\(configuration.address): \(Self.text(code))")
    }
    // A child process must not keep the connection open after this process dies: the broker would never publish the Will.
    if let descriptor { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
  }

  package func subscribe(to subscriptions: [MQTTSubscription]) throws(MQTTError) {
    for quality in [MQTTQuality.atMostOnce, .atLeastOnce] {
      let filters = subscriptions.filter { $0.quality == quality }.map(\.filter)
      guard !filters.isEmpty else { continue }
      let copies = filters.map { strdup($0) }
      defer { for copy in copies { free(copy) } }
      var identifier: Int32 = 0
      let code = mosquitto_subscribe_multiple(handle, &identifier, Int32(copies.count), copies, quality.rawValue, 0, nil)
      guard code == MOSQ_ERR_SUCCESS.rawValue else { throw .lost("subscribing failed: \(Self.text(code))") }
      subscribing[identifier] = (filters, quality)
    }
  }

  package enum HandOver {
    /// QoS 0: the message was written, or is in the library's buffer for the socket.
    case sent
    /// QoS 1: the broker will acknowledge the message under this identifier, unless the connection ends first.
    case flying(Int32)
    /// QoS 0: the message was not sent, because the connection has ended.
    case returned
    case rejected(String)
  }

  package func publish(_ message: MQTTMessage) -> HandOver {
    var identifier: Int32 = 0
    let code = mosquitto_publish(
      handle, &identifier, message.topic, Int32(clamping: message.payload.count), message.payload, message.quality.rawValue,
      message.retained)
    switch code {
    case MOSQ_ERR_INVAL.rawValue, MOSQ_ERR_PAYLOAD_SIZE.rawValue, MOSQ_ERR_MALFORMED_UTF8.rawValue, MOSQ_ERR_OVERSIZE_PACKET.rawValue,
      MOSQ_ERR_QOS_NOT_SUPPORTED.rawValue, MOSQ_ERR_RETAIN_NOT_SUPPORTED.rawValue, MOSQ_ERR_NOMEM.rawValue:
      return .rejected(Self.text(code))
    default:
      // At QoS 1 the library has taken the message even if it reports a lost connection.
      if message.quality == .atLeastOnce { return .flying(identifier) }
      return code == MOSQ_ERR_SUCCESS.rawValue ? .sent : .returned
    }
  }

  /// Sends DISCONNECT, after which the broker discards the Will. The descriptor is gone once DISCONNECT is written.
  package func disconnect() {
    mosquitto_disconnect(handle)
  }

  package func read() throws(MQTTError) { try checkConnection(mosquitto_loop_read(handle, 1)) }
  package func write() throws(MQTTError) { try checkConnection(mosquitto_loop_write(handle, 1)) }
  /// Sends pings, and detects a broker that no longer answers.
  package func keepAlive() throws(MQTTError) { try checkConnection(mosquitto_loop_misc(handle)) }

  package func takeAcknowledged() -> [Int32] {
    defer { acknowledged.removeAll(keepingCapacity: true) }
    return acknowledged
  }

  func takeRefusedFilters() -> [String] {
    defer { refusedFilters = [] }
    return refusedFilters
  }

  func takeOversized() -> Int {
    defer { oversized = 0 }
    return oversized
  }
}

extension MosquittoSession {
  /// Initializes the library, once in a process. This also makes the process ignore SIGPIPE.
  private static let library: Int32 = mosquitto_lib_init()

  private static func check(_ code: Int32, _ what: String) throws(MQTTError) {
    guard code == MOSQ_ERR_SUCCESS.rawValue else { throw .configuration("MQTT: \(what): \(text(code))") }
  }

  private func checkConnection(_ code: Int32) throws(MQTTError) {
    let reason = errno
    let isRefused = connack.map { $0 != 0 } ?? false
    if isRefused || code != MOSQ_ERR_SUCCESS.rawValue { throw failure(code, reason) }
  }

  private func setCallbacks() {
    mosquitto_connect_callback_set(handle) { @Sendable _, object, code in
      MosquittoSession.of(object)?.answered(code)
    }
    mosquitto_publish_callback_set(handle) { @Sendable _, object, identifier in
      MosquittoSession.of(object)?.acknowledge(identifier)
    }
    mosquitto_subscribe_callback_set(handle) { @Sendable _, object, identifier, count, granted in
      MosquittoSession.of(object)?.subscribed(identifier, granted: UnsafeBufferPointer(start: granted, count: Int(count)))
    }
    mosquitto_message_callback_set(handle) { @Sendable _, object, message in
      guard let message else { return }
      MosquittoSession.of(object)?.received(message.pointee)
    }
    mosquitto_log_callback_set(handle) { @Sendable _, object, level, text in
      guard level == MOSQ_LOG_ERR, let text else { return }
      MosquittoSession.of(object)?.complaint = TLSComplaint(String(cString: text))
    }
  }

  private static func of(_ object: UnsafeMutableRawPointer?) -> MosquittoSession? {
    object.map { Unmanaged<MosquittoSession>.fromOpaque($0).takeUnretainedValue() }
  }

  private func answered(_ code: Int32) {
    reports += 1
    connack = code
  }

  private func acknowledge(_ identifier: Int32) {
    reports += 1
    acknowledged.append(identifier)
  }

  private func subscribed(_ identifier: Int32, granted: UnsafeBufferPointer<Int32>) {
    reports += 1
    guard let (filters, wanted) = subscribing.removeValue(forKey: identifier) else { return }
    for (filter, quality) in zip(filters, granted) {
      if quality > 2 { refusedFilters.append(filter) } else if quality < wanted.rawValue { downgraded = filter }
    }
  }

  private func received(_ message: mosquitto_message) {
    reports += 1
    guard let topic = message.topic else { return }
    let count = Int(message.payloadlen)
    guard count <= maximumPayload else {
      oversized += 1
      return
    }
    deliver(
      MQTTMessage(
        topic: String(cString: topic),
        payload: message.payload.map { Array(UnsafeRawBufferPointer(start: $0, count: count)) } ?? [],
        quality: message.qos > 0 ? .atLeastOnce : .atMostOnce, retained: message.retain))
  }
}
