import Glibc
import HTTPTypes
package import Hummingbird
package import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// Why a listener does not listen.
package struct ListenerError: Error, Hashable, CustomStringConvertible {
  package let description: String
}

/// An HTTP/1.1 listener, to be run in a service group.
package struct Listener: Service {
  private let application: Application<RouterResponder<RouteContext>>
  private let host: String
  private let port: Int
  private let name: String

  /// - Parameters:
  ///   - name: the configuration's: `data`, `ops`.
  ///   - onRunning: told the port once connections are accepted.
  package init(
    _ router: Router<RouteContext>, host: String, port: Int, name: String, logger: Logger,
    onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
  ) {
    self.host = host
    self.port = port
    self.name = name
    var logger = logger
    // Hummingbird says "Server started" at info for each listener; the programs have their own ready line.
    logger.logLevel = max(logger.logLevel, .notice)
    application = Application(
      responder: router.buildResponder(),
      server: .http1(configuration: .init(idleTimeout: .seconds(75))),
      configuration: .init(address: .hostname(host, port: port), serverName: "muster", backlog: 1024),
      onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? port) },
      logger: logger)
  }

  /// - Throws: ``ListenerError`` when it cannot bind.
  package func run() async throws {
    do {
      try await application.run()
    } catch let error as IOError {
      throw ListenerError(description: explain(error))
    } catch let error as SocketAddressError {
      throw ListenerError(description: "\(name).host \(host) is not an address of this machine: \(error)")
    } catch let error as NIOConnectionError {
      throw ListenerError(description: "\(name).host \(host) cannot be resolved: \(error)")
    }
  }

  private func explain(_ error: IOError) -> String {
    switch error.errnoCode {
    case EADDRINUSE: "port \(port) on \(host) is in use: another program listens there; set \(name).port"
    case EACCES: "port \(port) on \(host) needs more rights: choose a \(name).port of 1024 or above"
    case EADDRNOTAVAIL: "\(host) is not an address of this machine: set \(name).host"
    default: "cannot listen on \(host), port \(port): \(error)"
    }
  }
}

/// A listener for a router, as a service: see ``Listener``.
package func listener(
  _ router: Router<RouteContext>, host: String, port: Int, name: String, logger: Logger,
  onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
) -> Listener {
  Listener(router, host: host, port: port, name: name, logger: logger, onRunning: onRunning)
}
