import Logging
import MusterCoordination
import MusterSchema
import MusterServer
import MusterStorage
import MusterTransfer

// Regions and their devices, and metrics for monitoring.
extension Central {
  func regions() async -> [RegionSummary] {
    let machine = await shell.machine
    let known = Set(machine.nodes.keys).union(regionIDs)
    return known.sorted().map { region in
      let state = machine.nodes[region]
      return RegionSummary(
        region: region, declared: regionIDs.contains(region), online: state?.online ?? false,
        silentSeconds: machine.silence(of: region), since: state.flatMap(server.topics.times.since), reason: state?.reason,
        data: state?.data, tasks: machine.openStatuses(of: region))
    }
  }

  /// Asks every region for its devices, because central itself knows only regions.
  func nodes() async -> (nodes: [NodeSummary], unreachable: [Waiting]) {
    let regions = await regions().filter(\.declared)
    var found: [NodeSummary] = []
    var unreachable: [Waiting] = []
    await withTaskGroup(of: (NodeID, Result<[NodeSummary], TransferError>).self) { group in
      for region in regions {
        guard region.online, let data = region.data else {
          unreachable.append(Waiting(node: region.region.rawValue, reason: "the region is offline"))
          continue
        }
        group.addTask { [client] in (region.region, await Self.devices(at: data, client)) }
      }
      for await (region, result) in group {
        switch result {
        case .success(let nodes): found += nodes
        case .failure(let error): unreachable.append(Waiting(node: region.rawValue, reason: "\(error)"))
        }
      }
    }
    return (found.sorted { $0.path < $1.path }, unreachable.sorted { $0.node < $1.node })
  }

  static func devices(at data: String, _ client: HTTPClient) async -> Result<[NodeSummary], TransferError> {
    do throws(TransferError) {
      return .success(try await client.get([NodeSummary].self, from: "\(data)/v1/nodes"))
    } catch {
      return .failure(error)
    }
  }

  /// Bytes of a task on each link: below central, and below each region of the task that answers.
  func traffic(_ task: TaskID) async throws(Problem) -> [LinkTraffic] {
    let machine = await shell.machine
    guard let run = machine.tasks[task] else {
      _ = try await history.row(task)
      return []
    }
    var links = [LinkTraffic(coordinator: .central, traffic: server.topics.meter.traffic(of: task))]
    await withTaskGroup(of: LinkTraffic?.self) { group in
      for region in run.descriptor.regions {
        guard let node = machine.nodes[region], node.online, let data = node.data else { continue }
        group.addTask { [client, logger] in
          do {
            let known = try await client.get(RegionTask.self, from: "\(data)/v1/tasks/\(task)?rounds=last:0")
            return LinkTraffic(coordinator: region, traffic: known.traffic)
          } catch {
            logger.debug("the traffic of a region cannot be fetched: \(error)", metadata: ["node.id": "\(region)"])
            return nil
          }
        }
      }
      for await link in group { if let link { links.append(link) } }
    }
    return [links[0]] + links.dropFirst().sorted { $0.coordinator < $1.coordinator }
  }

  /// Metrics in the text format of Prometheus.
  func metrics() async throws(Problem) -> String {
    let machine = await shell.machine
    let rounds = try await history.ask { (store) throws(StorageError) in try await store.roundsCompleted() }
    let open = machine.openTaskIDs.count
    let online = machine.nodes.values.count(where: \.online)
    return """
      # TYPE muster_rounds_completed_total counter
      muster_rounds_completed_total \(rounds)
      # TYPE muster_tasks_open gauge
      muster_tasks_open \(open)
      # TYPE muster_regions_online gauge
      muster_regions_online \(online)

      """
  }
}
