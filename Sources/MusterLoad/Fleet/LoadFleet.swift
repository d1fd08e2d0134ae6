import MusterGround
import MusterTransfer

/// Thousands of simulated devices in this process. They use real MQTT, real HTTP and the protocol's own machine, but do not train.
///
/// One thread holds all MQTT connections and all devices' state. Transfers run beside it, a bounded number at a time.
package struct LoadFleet: Sendable {
  private let link: LoadLink

  /// The events of the fleet, for one reader.
  package var events: AsyncStream<LoadEvent> { link.events }
  package var progress: LoadProgress { link.progress }

  /// Runs the devices while `body` runs.
  ///
  /// - Returns: the result of `body`, and the devices' measurements.
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
        // Stop the thread and the transfers, whether `body` returns or throws.
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
