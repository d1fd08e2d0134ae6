import CMosquitto
import CSpawn
import Glibc
import Logging
import MusterGround
import Synchronization

extension ConnectionThread {
  /// Serves a connection until it ends.
  func serve(_ session: MosquittoSession) -> Ending {
    defer {
      lastUnacknowledged = connection.shared.withLock { state in
        defer { state.outbox.connectionLost() }
        state.connection = nil
        return state.outbox.largestUnacknowledged
      }
    }
    do throws(Ending) {
      while true {
        try checkRequests()
        let added = connection.shared.withLock { $0.takeAddedSubscriptions() }
        try subscribe(session, to: added)
        while !session.wantsWrite, handOver(to: session) {}
        try turn(session, until: nextLook)
      }
    } catch {
      if case .stopped = error { disconnect(session) }
      return error
    }
  }

  func subscribe(_ session: MosquittoSession, to subscriptions: [MQTTSubscription]) throws(Ending) {
    do throws(MQTTError) {
      try session.subscribe(to: subscriptions)
    } catch {
      throw .failed(error)
    }
  }

  /// Hands as many messages to the library as the window allows.
  ///
  /// - Returns: whether there may be more.
  private func handOver(to session: MosquittoSession) -> Bool {
    let batch = connection.shared.withLock { $0.outbox.takeBatch() }
    guard !batch.isEmpty else { return false }
    let results = batch.map { entry in (entry, session.publish(entry.element.message)) }
    connection.shared.withLock { $0.outbox.settle(results) }
    for case (let entry, .rejected(let why)) in results {
      logger.error(
        "the MQTT library refused a message", metadata: ["mqtt.topic": "\(entry.element.message.topic)", "mqtt.reason": "\(why)"])
    }
    return session.descriptor != nil
  }

  private func disconnect(_ session: MosquittoSession) {
    session.disconnect()
    let deadline = ContinuousClock.now + .seconds(1)
    do {
      while session.descriptor != nil, ContinuousClock.now < deadline { try exchange(session, until: deadline) }
    } catch {
      logger.debug("the connection ended before DISCONNECT was written", metadata: ["mqtt.reason": "\(error)"])
    }
  }

  private func checkRequests() throws(Ending) {
    let (isStopping, isAsked) = connection.shared.withLock { state in
      state.wakeSeen()
      return (state.isStopping, state.reconnectAt != nil)
    }
    if isStopping { throw .stopped }
    if isAsked { throw .requested }
  }

  /// The time of the next keepalive check.
  private var nextLook: ContinuousClock.Instant {
    .now + min(.seconds(5), max(.seconds(1), configuration.keepAlive / 8))
  }

  /// Waits until the kernel reports whether the TCP connection was made.
  func awaitTCP(_ session: MosquittoSession) throws(Ending) {
    let deadline = ContinuousClock.now + configuration.connectTimeout
    while true {
      try checkRequests()
      guard let descriptor = session.descriptor else { throw .failed(.unreachable("the library closed the socket")) }
      if poll((descriptor, Int16(POLLOUT)), until: deadline) != 0 {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        // The other side accepted the connection and then reset or closed it at once.
        if [ECONNRESET, EPIPE].contains(code) { throw .failed(session.closedEarly) }
        guard code == 0 else {
          throw .failed(.unreachable("\(configuration.address): \(String(cString: strerror(code)))"))
        }
        return
      }
      guard ContinuousClock.now < deadline else {
        throw .failed(.unreachable("\(configuration.address) does not answer"))
      }
    }
  }

  func isIPv6(_ session: MosquittoSession) -> Bool {
    guard let descriptor = session.descriptor else { return false }
    var address = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
    }
    return code == 0 && address.ss_family == sa_family_t(AF_INET6)
  }

  /// Serves the connection until the condition is true. Throws when the broker takes longer than the connect timeout.
  func turn(_ session: MosquittoSession, until what: String, _ isTrue: () -> Bool) throws(Ending) {
    let deadline = ContinuousClock.now + configuration.connectTimeout
    while !isTrue() {
      try checkRequests()
      guard ContinuousClock.now < deadline else { throw .failed(.timedOut(what)) }
      try turn(session, until: deadline)
    }
  }

  /// Waits once for the socket, does the work that is due, and passes the results on.
  private func turn(_ session: MosquittoSession, until deadline: ContinuousClock.Instant) throws(Ending) {
    let flushDeadline = connection.shared.withLock(\.nextFlushDeadline)
    defer { passOn(session) }
    do throws(MQTTError) {
      try exchange(session, until: min(deadline, flushDeadline ?? deadline))
      try session.keepAlive()
    } catch {
      throw .failed(error)
    }
    guard session.descriptor != nil else { throw .failed(.lost("the broker stopped answering or closed the connection")) }
  }

  private func exchange(_ session: MosquittoSession, until deadline: ContinuousClock.Instant) throws(MQTTError) {
    if idleTurns >= Self.idleTurnsAllowed { poll(nil, until: min(deadline, .now + .milliseconds(20))) }
    guard let descriptor = session.descriptor else { return }
    let isPaused = connection.shared.withLock { $0.inbox.isOverfull }
    let wantsWrite = session.wantsWrite
    let before = (session.reports, muster_pending(descriptor))
    var events: Int16 = isPaused ? 0 : Int16(POLLIN)
    if wantsWrite && !isWriteStalled { events |= Int16(POLLOUT) }
    let latest = isWriteStalled ? min(deadline, .now + .milliseconds(20)) : deadline
    // Without events the socket is left out of the set, because poll would report a hang-up again and again.
    let ready = poll(events == 0 ? nil : (descriptor, events), until: latest)
    if ready & Int16(POLLOUT) != 0 || isWriteStalled {
      try session.write()
      isWriteStalled = session.wantsWrite
    }
    if ready & ~Int16(POLLOUT) != 0, session.descriptor != nil {
      try session.read()
      if session.isClosedByBroker { throw session.failure(MOSQ_ERR_CONN_LOST.rawValue, 0) }
    }
    let isIdle = session.descriptor.map { before == (session.reports, muster_pending($0)) && session.wantsWrite == wantsWrite } ?? false
    idleTurns = ready != 0 && isIdle ? idleTurns + 1 : 0
  }

  /// The number of idle turns in a row after which the loop rests for 20 ms before each further turn.
  private static let idleTurnsAllowed = 16

  private func passOn(_ session: MosquittoSession) {
    let identifiers = session.takeAcknowledged()
    let oversized = session.takeOversized()
    if !identifiers.isEmpty || oversized > 0 {
      connection.shared.withLock { state in
        for identifier in identifiers where state.outbox.acknowledged(identifier) { state.statistics.acknowledged += 1 }
        state.statistics.inboxOversized += oversized
      }
    }
    if oversized > 0 {
      drops.note("its payload has more than \(configuration.maximumPayload) bytes", topic: nil)
    }
    for filter in session.takeRefusedFilters() {
      logger.error("the broker refused a subscription; check its ACL", metadata: ["mqtt.filter": "\(filter)"])
    }
    finishFlushes()
  }

  func finishFlushes() {
    for (continuation, isDone) in connection.shared.withLock({ $0.takeFinishedFlushes() }) { continuation.resume(returning: isDone) }
  }

  /// Waits for the waker and, if one is given, for a socket.
  ///
  /// - Returns: the events that the socket is ready for.
  @discardableResult
  func poll(_ socket: (descriptor: Int32, events: Int16)?, until deadline: ContinuousClock.Instant) -> Int16 {
    var set = (
      pollfd(fd: connection.waker.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: socket?.descriptor ?? -1, events: socket?.events ?? 0, revents: 0)
    )
    let timeout = (deadline - .now).milliseconds
    let count = withUnsafeMutablePointer(to: &set) { pointer in
      pointer.withMemoryRebound(to: pollfd.self, capacity: 2) { Glibc.poll($0, 2, timeout) }
    }
    guard count > 0 else { return 0 }
    if set.0.revents != 0 { connection.waker.clear() }
    return set.1.revents
  }
}
