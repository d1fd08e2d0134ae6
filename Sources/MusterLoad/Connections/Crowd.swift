import Glibc
import MusterGround
import MusterMQTT

/// Many MQTT clients on one thread, each with its own connection.
///
/// `MQTTClient` uses a thread for each connection, which is too much for thousands of devices in one process. This class is confined to the
/// thread that calls ``turn(until:)``. It does not reconnect by itself: it reports a lost member, and the owner opens it again.
final class Crowd {
  enum Event {
    /// The member is connected and subscribed.
    case connected
    case message(MQTTMessage)
    /// The member's connection, or its attempt to connect, has ended.
    case lost(MQTTError)
  }

  private enum Stage { case away, connecting, subscribing, connected }

  private struct Member {
    var session: MosquittoSession?
    var stage = Stage.away
    var filters: [MQTTSubscription] = []
    /// The time at which the attempt to connect is given up.
    var deadline = ContinuousClock.now
    /// Whether the poller reports when the socket can be written to.
    var writes = false
  }

  private let base: MQTTConfiguration
  private let poller: Poller
  private let waker: Waker
  private var members: [Member]
  private var events: [(member: Int, event: Event)] = []
  private var nextLook = ContinuousClock.now
  /// The number of members that are connecting.
  private(set) var handshakes = 0

  private static let wakeToken = UInt64.max
  /// The time limit for TCP, the broker's answer and the subscriptions together.
  private static let patience = Duration.seconds(30)
  /// The interval between checks of keep-alives and of attempts that take too long.
  private static let lookInterval = Duration.seconds(2)

  /// - Parameters:
  ///   - base: the configuration of all clients, except their ids, which ``open(_:clientID:will:filters:)`` sets.
  ///   - waker: ends a wait from another thread.
  init(_ base: MQTTConfiguration, members: Int, waker: Waker) throws(LoadError) {
    self.base = base
    self.waker = waker
    self.members = Array(repeating: Member(), count: members)
    poller = try Poller()
    try poller.add(waker.descriptor, token: Self.wakeToken)
  }

  /// Starts to connect. The outcome is reported as an event.
  func open(_ member: Int, clientID: String, will: MQTTMessage, filters: [MQTTSubscription]) throws(LoadError) {
    var configuration = base
    configuration.clientID = clientID
    do throws(MQTTError) {
      // Sound without a lock: the session calls this closure only inside calls made on this thread, and does not outlive this object.
      let session = try MosquittoSession(configuration, will: will) { [unowned self] message in
        self.events.append((member, .message(message)))
      }
      try session.open(configuration, overIPv4: false)
      guard let descriptor = session.descriptor else { throw .unreachable("the library closed the socket") }
      members[member] = Member(session: session, stage: .connecting, filters: filters, deadline: .now + Self.patience, writes: true)
      handshakes += 1
      try watch(descriptor, member)
    } catch {
      lose(member, error)
    }
  }

  private func watch(_ descriptor: Int32, _ member: Int) throws(MQTTError) {
    do throws(LoadError) {
      try poller.add(descriptor, token: UInt64(member), writes: true)
    } catch {
      throw .unreachable("\(error)")
    }
  }

  /// Publishes a message for a connected member. For any other member, the message is dropped.
  func publish(_ message: MQTTMessage, from member: Int) throws(LoadError) {
    guard let session = members[member].session else { return }
    if case .rejected(let why) = session.publish(message) {
      throw .system("the MQTT library refused a message on \(message.topic): \(why)")
    }
    try settle(member, session)
  }

  /// Waits for the sockets and serves those that are ready.
  ///
  /// - Returns: the events that happened, in order.
  func turn(until deadline: ContinuousClock.Instant) throws -> [(member: Int, event: Event)] {
    let limit = min(deadline, nextLook)
    let milliseconds = events.isEmpty ? limit.millisecondsFromNow : 0
    try poller.wait(milliseconds: milliseconds) { token, reads, writes in
      if token == Self.wakeToken { waker.clear() } else { try serve(Int(token), reads: reads, writes: writes) }
    }
    if ContinuousClock.now >= nextLook { try look() }
    defer { events = [] }
    return events
  }

  /// Disconnects all members in order, so that the broker does not publish their Wills.
  func close() {
    for index in members.indices {
      members[index].session?.disconnect()
      members[index] = Member()
    }
  }

  private func serve(_ member: Int, reads: Bool, writes: Bool) throws {
    guard let session = members[member].session else { return }
    do throws(MQTTError) {
      if writes { try session.write() }
      if reads, session.descriptor != nil { try session.read() }
      try advance(member, session)
    } catch {
      return lose(member, error)
    }
    try settle(member, session)
  }

  /// Takes the next step of connecting after an answer of the broker.
  private func advance(_ member: Int, _ session: MosquittoSession) throws(MQTTError) {
    _ = session.takeAcknowledged()
    if members[member].stage == .connecting, session.connack == 0 {
      members[member].stage = .subscribing
      try session.subscribe(to: members[member].filters)
    }
    if members[member].stage == .subscribing, !session.isSubscribing {
      if let filter = session.refusedFilters.first { throw .unfit("it refused the subscription to \(filter)") }
      members[member].stage = .connected
      handshakes -= 1
      events.append((member, .connected))
    }
  }

  /// Call this after any call of the library: the socket may be closed, or have bytes left to write.
  private func settle(_ member: Int, _ session: MosquittoSession) throws(LoadError) {
    guard let descriptor = session.descriptor else { return lose(member, .lost("the broker closed the connection")) }
    let writes = session.wantsWrite
    guard writes != members[member].writes else { return }
    members[member].writes = writes
    try poller.change(descriptor, token: UInt64(member), writes: writes)
  }

  private func lose(_ member: Int, _ error: MQTTError) {
    if members[member].stage == .connecting || members[member].stage == .subscribing { handshakes -= 1 }
    members[member] = Member()
    events.append((member, .lost(error)))
  }

  private func look() throws {
    let now = ContinuousClock.now
    nextLook = now + Self.lookInterval
    for member in members.indices {
      guard let session = members[member].session else { continue }
      if members[member].stage != .connected, now >= members[member].deadline {
        lose(member, .timedOut("waiting for the answer to CONNECT or SUBSCRIBE"))
        continue
      }
      do throws(MQTTError) {
        try session.keepAlive()
      } catch {
        lose(member, error)
        continue
      }
      try settle(member, session)
    }
  }
}

extension ContinuousClock.Instant {
  /// The milliseconds until this instant, rounded up, for `epoll_wait`.
  var millisecondsFromNow: Int32 {
    let (seconds, attoseconds) = (self - .now).components
    return Int32(clamping: max(0, seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000))
  }
}
