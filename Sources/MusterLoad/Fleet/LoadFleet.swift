import MusterGround
import MusterTransfer

/// Thousands of devices in this process: real MQTT, real HTTP, the protocol's own machine for each, and no training.
///
/// One thread has all MQTT connections and all devices' state. Transfers run beside it, a bounded number at a time.
package struct LoadFleet: Sendable {
  private let link: LoadLink

  /// What happens, for one reader.
  package var events: AsyncStream<LoadEvent> { link.events }
  package var progress: LoadProgress { link.progress }

  /// Runs the devices while `body` runs.
  ///
  /// - Returns: what `body` returns, and what the devices saw.
  package static func with<Result: Sendable>(
    _ configuration: LoadConfiguration, _ body: @escaping @Sendable (LoadFleet) async throws -> Result
  ) async throws -> (Result, LoadMeasures) {
    let link = try LoadLink()
    let desk = try TransferDesk(connections: configuration.transfers)
    return try await withThrowingTaskGroup(of: Result?.self) { group in
      group.addTask {
        try await Self.runDevices(configuration, link)
        return nil
      }
      group.addTask {
        await Self.carryOut(link, desk)
        return nil
      }
      group.addTask {
        // However it ends, thread and transfers end with it.
        defer { link.stop() }
        return try await body(LoadFleet(link: link))
      }
      var result: Result?
      do {
        while let next = try await group.next() { result = next ?? result }
      } catch {
        link.stop()
        throw error
      }
      guard let result, let measures = link.measures else { throw CancellationError() }
      return (result, measures)
    }
  }

  private static func runDevices(_ configuration: LoadConfiguration, _ link: LoadLink) async throws {
    await offloadLong { DeviceLoop.run(configuration, link) }
    link.start.finish()
    link.report.finish()
  }

  private static func carryOut(_ link: LoadLink, _ desk: TransferDesk) async {
    await withDiscardingTaskGroup { group in
      for await transfer in link.transfers {
        group.addTask { link.post(await desk.carryOut(transfer)) }
      }
      group.cancelAll()
    }
  }
}
