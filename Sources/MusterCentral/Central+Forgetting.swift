import MusterCoordination
import MusterSchema
import MusterServer
import MusterTransfer
import Synchronization

/// Devices that operators want forgotten, by region, until the region has done it.
///
/// Regions read the list on central's data plane when central publishes its birth: central cannot send them requests, and no other program
/// may ask a region to forget devices.
final class ForgetWishes: Sendable {
  private let wishes = Mutex<[NodeID: Set<NodeID>]>([:])

  func add(_ device: NodeID, of region: NodeID) { wishes.withLock { _ = $0[region, default: []].insert(device) } }
  func remove(_ device: NodeID, of region: NodeID) { wishes.withLock { _ = $0[region]?.remove(device) } }
  func devices(of region: NodeID) -> [NodeID] { wishes.withLock { ($0[region] ?? []).sorted() } }
}

// `muster node forget`: a device that was removed, or whose password was revoked, would stay in its broker's retained topics forever.
extension Central {
  /// Clears a node's topics, and has its coordinator forget it.
  func forget(_ region: NodeID, _ device: NodeID?) async throws(Problem) {
    guard let device else { return try await forget(region: region) }
    guard regionIDs.contains(region) else { throw unknownNode("\(region)", "central has no such region") }
    let before = try await devices(of: region)
    guard before.contains(where: { $0.path.nodes.last == device }) else {
      throw unknownNode("\(region)/\(device)", "region \(region) knows no such device")
    }
    wishes.add(device, of: region)
    defer { wishes.remove(device, of: region) }
    server.topics.link.publishBirth()
    for _ in 0..<Self.forgettingTries {
      do { try await Task.sleep(for: .milliseconds(100)) } catch { break }
      if try await !devices(of: region).contains(where: { $0.path.nodes.last == device }) { return }
    }
    throw Problem(
      .nodePresent,
      "\(region)/\(device) is still listed: it is running and announced itself again, or region \(region) did not get the request in time")
  }

  private static let forgettingTries = 100

  private func forget(region: NodeID) async throws(Problem) {
    guard await shell.machine.nodes[region] != nil else { throw unknownNode("\(region)", "central knows no such region") }
    try await server.submit(.forgetNode(region))
  }

  private func devices(of region: NodeID) async throws(Problem) -> [NodeSummary] {
    guard let node = await shell.machine.nodes[region], node.online, let data = node.data else {
      throw Problem(.regionUnreachable, "region \(region) is offline, and only it can forget its devices")
    }
    switch await Self.devices(at: data, client) {
    case .success(let nodes): return nodes
    case .failure(let error): throw Problem(.regionUnreachable, "\(error)")
    }
  }

  private func unknownNode(_ node: String, _ why: String) -> Problem {
    Problem(.unknownNode, "there is no node \(node): \(why); run `muster node list` to see the existing nodes")
  }
}
