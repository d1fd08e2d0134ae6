import HTTPTypes
import Logging
import MusterGround
import MusterIdentity
import MusterSchema
import MusterServer
import MusterTransfer
import Synchronization

/// The devices that belong to this region, as central last said. The roster is kept on the disk, so that a region goes on while it cannot
/// reach central.
final class RegionRoster: Sendable {
  private struct State {
    var roster: Roster?
    var nodesByKey: [Digest: NodeID] = [:]
    var nodes: Set<NodeID> = []
    /// Whether a message of an unknown node was ignored under this roster. It may be a device that has just enrolled.
    var ignored = false

    mutating func take(_ roster: Roster) {
      self.roster = roster
      nodesByKey = Dictionary(roster.devices.map { ($0.key, $0.node) }) { first, _ in first }
      nodes = Set(roster.devices.map(\.node))
    }
  }

  let identity: IdentityFolder
  private let region: NodeID
  private let file: String
  /// The list of revoked certificates, from which broker-config makes those of the region's broker.
  private let revocationsFile: String
  private let logger: Logger
  private let state: Mutex<State>
  /// Rung when the roster may have changed.
  let bell = Bell()

  /// A roster is fetched at least this often, in case a message about a change was lost.
  private static let interval = Duration.seconds(60)
  static let maximumBytes = 64 << 20

  /// Reads the roster that an earlier process left. Blocks.
  init(_ identity: IdentityFolder, region: NodeID, logger: Logger) throws {
    self.identity = identity
    self.region = region
    file = "\(identity.path)/roster.json"
    revocationsFile = ServerIdentity.revocationsFile(identity)
    self.logger = logger
    var state = State()
    if Files.exists(file) {
      let roster = try JSON.decode(Roster.self, from: try Files.read(file, atMost: Self.maximumBytes))
      if roster.region == region { state.take(roster) }
    }
    self.state = Mutex(state)
  }

  /// Whether a device belongs to this region. Before the first roster, none does. An unknown one makes the region ask central.
  func contains(_ node: NodeID) -> Bool {
    let isKnown = state.withLock { state in
      let isKnown = state.nodes.contains(node)
      if !isKnown { state.ignored = true }
      return isKnown
    }
    if !isKnown { bell.ring() }
    return isKnown
  }

  /// The member whose certificate has this key: a device of this region, or central.
  func member(_ key: Digest) throws(Problem) -> Member {
    let (node, central) = state.withLock { ($0.nodesByKey[key], $0.roster?.central) }
    if let node { return Member(path: NodePath(region, node), nodeKind: .device, key: key) }
    if key == central { return Member(path: NodePath(.central), nodeKind: .region, key: key) }
    bell.ring()
    throw Problem(.notAdmitted, "the key of this certificate belongs to no device of the region \(region)")
  }

  /// Fetches the roster whenever the bell rings, and every minute, until the task is cancelled.
  ///
  /// - Parameter renew: makes the topics be read again, because messages of a device that is new were ignored.
  func follow(_ central: String, _ client: HTTPClient, renew: @Sendable () -> Void) async {
    var trouble: TransferError?
    while !Task.isCancelled {
      do throws(TransferError) {
        if try await refresh(central, client) { renew() }
        trouble = nil
      } catch {
        // The same trouble is logged once.
        if error != trouble, error != .cancelled { logger.warning("the roster of devices cannot be fetched from central: \(error)") }
        trouble = error
      }
      // Unknown nodes may ring all the time.
      do { try await Task.sleep(for: .seconds(1)) } catch { return }
      await bell.wait(until: .now + (trouble == nil ? Self.interval : .seconds(5)))
    }
  }

  /// - Returns: whether messages were ignored that may count now.
  private func refresh(_ central: String, _ client: HTTPClient) async throws(TransferError) -> Bool {
    let present = state.withLock(\.roster)
    let answer = try await client.send(
      "GET", "\(central)/v1/regions/\(region)/roster", headers: present.map { [("If-None-Match", $0.tag)] } ?? [])
    guard answer.status != 304 else { return false }
    let roster: Roster = try answer.decode()
    guard roster.region == region, present.map(roster.isNewer) ?? true else {
      logger.warning("central sent an older roster, which is ignored", metadata: ["roster": "\(roster.tag)"])
      return false
    }
    let (file, revocationsFile) = (file, revocationsFile)
    do throws(FileError) {
      try await offload { () throws(FileError) in
        try Files.replace(revocationsFile, with: Array(roster.revocations.utf8), durable: true)
        try Files.replace(file, with: answer.body, durable: true)
      }
    } catch {
      throw .file(error)
    }
    logger.info("the roster has changed", metadata: ["devices": "\(roster.devices.count)", "roster": "\(roster.tag)"])
    return state.withLock { state in
      defer { state.ignored = false }
      state.take(roster)
      return state.ignored
    }
  }
}
