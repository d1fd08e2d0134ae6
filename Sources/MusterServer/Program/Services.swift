package import Logging
package import MusterCoordination
import MusterGround
package import ServiceLifecycle
import UnixSignals

/// A service that runs until the program is told to stop. It is then cancelled and finishes in order.
package struct BackgroundService: Service {
  private let body: @Sendable () async throws -> Void

  package init(_ body: @escaping @Sendable () async throws -> Void) { self.body = body }

  package func run() async throws {
    do {
      try await cancelWhenGracefulShutdown { try await body() }
    } catch is CancellationError {
      // Cancellation is the normal end.
    }
  }
}

/// Runs the services of a program. On SIGTERM and SIGINT they are stopped in reverse order, within ten seconds.
package func runServices(_ services: [any Service], logger: Logger) async throws {
  var configuration = ServiceGroupConfiguration(
    services: services.map { .init(service: $0, successTerminationBehavior: .gracefullyShutdownGroup) },
    gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
  configuration.maximumGracefulShutdownDuration = .seconds(10)
  configuration.maximumCancellationDuration = .seconds(5)
  try await ServiceGroup(configuration: configuration).run()
}

/// Saves the meter's byte counts every five seconds and at shutdown.
package func trafficKeeper(_ meter: TrafficMeter, machine: @escaping @Sendable () async -> Coordinator) -> BackgroundService {
  BackgroundService {
    while !Task.isCancelled {
      do { try await Task.sleep(for: .seconds(5)) } catch {}
      let tasks = await machine().tasks
      let (known, open) = (Array(tasks.keys), tasks.values.filter { !$0.isEnded }.map(\.id))
      await offload { meter.save(keeping: known, open: open) }
    }
  }
}

/// Saves the times of presence every five seconds and at shutdown.
package func presenceKeeper(_ times: PresenceTimes, machine: @escaping @Sendable () async -> Coordinator) -> BackgroundService {
  BackgroundService {
    while !Task.isCancelled {
      do { try await Task.sleep(for: .seconds(5)) } catch {}
      await times.save(keeping: Set(await machine().nodes.keys))
    }
  }
}

/// Calls `sweep` every ten minutes, to remove files that a crash may have left.
package func sweeper(_ sweep: @escaping @Sendable () async -> Void) -> BackgroundService {
  BackgroundService {
    while !Task.isCancelled {
      try await Task.sleep(for: .seconds(600))
      await sweep()
    }
  }
}

/// Opens once `count` listeners accept connections, so that a program that cannot listen never appears on topics.
package final class ListenersReady: Sendable {
  private let stream: AsyncStream<Void>
  private let mark: AsyncStream<Void>.Continuation
  private let count: Int

  package init(count: Int) {
    self.count = count
    (stream, mark) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(count))
  }

  package func running() { mark.yield() }

  /// Waits until all listeners accept connections. Only one task may wait.
  ///
  /// - Throws: `CancellationError` if the program ends before that; the waiter must then not continue.
  package func wait() async throws {
    var running = 0
    for await _ in stream {
      running += 1
      if running == count { return try Task.checkCancellation() }
    }
    throw CancellationError()
  }
}
