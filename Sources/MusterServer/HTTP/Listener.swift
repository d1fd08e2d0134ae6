import Glibc
import HTTPTypes
package import Hummingbird
import HummingbirdCore
import HummingbirdTLS
package import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// The reason why a listener cannot accept connections.
package struct ListenerError: Error, Hashable, CustomStringConvertible {
  package let description: String
}

/// An HTTP/1.1 listener, with or without TLS, to be run in a service group.
///
/// Hummingbird's `Application` is not used, because it adds services of its own, one of which takes up to a second to stop.
package struct Listener: Service {
  private let responder: RouterResponder<RouteContext>
  private let configuration: ListenerConfiguration
  private let log: RefusalLog
  private let logger: Logger
  private let onRunning: @Sendable (_ port: Int) async -> Void

  /// - Parameters:
  ///   - identification: identifies the callers.
  ///   - onRunning: is called with the port once connections are accepted.
  ///   - routes: adds the listener's routes, and middlewares that run after its own.
  package init(
    _ configuration: ListenerConfiguration, identification: any CallerIdentification = AnonymousCallers(), logger: Logger,
    onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }, routes: (Router<RouteContext>) -> Void
  ) {
    self.configuration = configuration
    log = RefusalLog(configuration.name, logger: logger)
    let router = makeRouter(configuration, identification: identification, log: log)
    routes(router)
    responder = router.buildResponder()
    self.onRunning = onRunning
    var logger = logger
    // Hummingbird logs "Server started" at info for each listener, but the programs have their own ready line.
    logger.logLevel = max(logger.logLevel, .notice)
    self.logger = logger
  }

  /// - Throws: ``ListenerError`` if it cannot bind.
  package func run() async throws {
    let (limits, log, logger) = (configuration.limits, log, logger)
    let (host, port, name) = (configuration.host, configuration.port, configuration.name)
    let channel = HTTP1Channel.Configuration(
      additionalChannelHandlers: [ConnectionGuard(limits, log: log)], idleTimeout: .seconds(75),
      httpDecoderConfiguration: .init(
        maxHeaderFieldSize: limits.headerBytes, maxHeaderListSize: limits.headerBytes, maxHeaderFieldCount: 100))
    var builder = HTTPServerBuilder.http1(configuration: channel)
    if let tls = configuration.tls { builder = try .tls(builder, tlsConfiguration: try tls.configuration()) }
    let server = try builder.buildServer(
      configuration: .init(
        address: .hostname(host, port: port), backlog: 1024,
        availableConnectionsDelegate: ConnectionLimit(limits.connections, log)),
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger,
      responder: { request, writer, channel in
        let response = try await respond(to: request, channel)
        try await writer.write(response: response.head, body: response.body)
      },
      onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? port) })
    do {
      try await server.run()
    } catch let error as IOError {
      throw ListenerError(description: explain(error))
    } catch is SocketAddressError.UnknownHost {
      throw ListenerError(description: "\(name).host \(host) cannot be resolved")
    } catch let error as SocketAddressError {
      throw ListenerError(description: "\(name).host \(host) is not an address of this machine: \(error)")
    }
  }

  private func respond(to request: Request, _ channel: any Channel) async throws -> Response {
    var logger = logger
    // Hummingbird's contexts expect this metadata.
    logger[metadataKey: "hb.request.id"] = .stringConvertible(RequestID())
    let context = RouteContext(source: ApplicationRequestContextSource(channel: channel, logger: logger))
    var response = try await responder.respond(to: request, context: context)
    response.headers[.date] = httpDate(time(nil))
    response.headers[.server] = "muster"
    return response
  }

  private func explain(_ error: IOError) -> String {
    let (host, port, name) = (configuration.host, configuration.port, configuration.name)
    return switch error.errnoCode {
    case EADDRINUSE: "port \(port) on \(host) is in use by another program; stop that program, or set \(name).port"
    case EACCES: "port \(port) on \(host) needs more rights: choose a \(name).port of 1024 or above"
    case EADDRNOTAVAIL: "\(name).host \(host) is not an address of this machine"
    default: "cannot listen on \(host), port \(port): \(error)"
    }
  }
}

/// A time in the format of RFC 9110: `Sat, 21 Nov 2026 10:00:00 GMT`.
func httpDate(_ seconds: Int) -> String {
  var (seconds, parts) = (seconds, tm())
  gmtime_r(&seconds, &parts)
  func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
  let day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][Int(parts.tm_wday)]
  let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
  let month = months[Int(parts.tm_mon)]
  let time = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
  return "\(day), \(two(parts.tm_mday)) \(month) \(parts.tm_year + 1900) \(time) GMT"
}
