import HTTPTypes
import Logging
import MusterSchema
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// The error of a client that sends its body too slowly.
struct SlowClient: Error {}

/// Watches one connection for heads that are too large or never complete, bodies that arrive too slowly, answers that the client does not
/// read, and bodies that continue after they were refused.
///
/// Only the time in which the server waits for the client counts, so that a slow server does not refuse its clients.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private enum Phase {
    case head(until: NIODeadline)
    case body
    /// The request is complete, and the answer is being sent.
    case answer
    /// The answer was complete before the body was.
    case rest(bytes: Int, until: NIODeadline)
    case closing
  }

  private let limits: ListenerLimits
  private let log: RefusalLog
  private var phase = Phase.closing
  /// Number of requests whose answer is not complete. It is above one if a client sends requests ahead (pipelining).
  private var unanswered = 0
  private var received = 0
  /// Length of the body as its head announces it; `nil` if it is chunked.
  private var announced: Int?
  private var waited = TimeAmount.zero
  private var waitingSince: NIODeadline?
  private var unwritableSince: NIODeadline?
  private var status = 200
  private var ticker: RepeatedTask?

  /// Bytes of a refused body that are still read, so that the client receives the refusal instead of a broken connection.
  private static let rest = 2 << 20

  init(_ limits: ListenerLimits, log: RefusalLog) {
    self.limits = limits
    self.log = log
  }

  func handlerAdded(context: ChannelHandlerContext) {
    phase = .head(until: .now() + .seconds(Int64(limits.headSeconds)))
    let interval = TimeAmount.milliseconds(Int64(min(5000, max(100, min(limits.stallSeconds, limits.headSeconds) * 250))))
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    ticker = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
      let (handler, context) = bound.value
      handler.look(context)
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) { stop() }

  func channelInactive(context: ChannelHandlerContext) {
    stop()
    context.fireChannelInactive()
  }

  private func stop() {
    ticker?.cancel()
    ticker = nil
  }

  // MARK: Inbound

  func read(context: ChannelHandlerContext) {
    if waitingSince == nil { waitingSince = .now() }
    context.read()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if let since = waitingSince {
      waited = waited + (.now() - since)
      waitingSince = nil
    }
    switch Self.unwrapInboundIn(data) {
    case .head(let head):
      phase = .body
      announced = head.headerFields[.contentLength].flatMap { Bounds.bytes.read($0) }
      unanswered += 1
      (received, waited) = (0, .zero)
    case .body(let buffer):
      received += buffer.readableBytes
      if case .rest(let bytes, let until) = phase {
        phase = .rest(bytes: bytes - buffer.readableBytes, until: until)
        if bytes < buffer.readableBytes {
          note(413, "a body continues after its answer", limit: "uploadMiB", context)
          return end(context)
        }
      }
    case .end:
      switch phase {
      case .rest: rearm()
      case .closing: break
      default: phase = .answer
      }
    }
    context.fireChannelRead(data)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let error = error as? HTTPParserError, error == .headerOverflow, case .head = phase else {
      return context.fireErrorCaught(error)
    }
    note(431, "a request's head is larger than allowed", limit: "headerKiB", context)
    let head = HTTPResponse(status: .requestHeaderFieldsTooLarge, headerFields: [.connection: "close", .contentLength: "0"])
    context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
    context.writeAndFlush(Self.wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in self.end(context) }
  }

  // MARK: Outbound

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch Self.unwrapOutboundIn(data) {
    case .head(let head): if head.status.kind != .informational { status = head.status.code }
    case .body: break
    case .end:
      unanswered -= 1
      switch phase {
      case _ where unanswered > 0: break
      // A success for a body that is already stored: the client may finish sending it at its own pace, if it announced the length.
      case .body:
        let most = status < 300 ? max(Self.rest, (announced ?? 0) - received) : Self.rest
        phase = .rest(bytes: most, until: .now() + .seconds(status < 300 ? 3600 : 10))
      case .answer: rearm()
      case .head, .rest, .closing: break
      }
    }
    context.write(data, promise: promise)
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    unwritableSince = context.channel.isWritable ? nil : .now()
    context.fireChannelWritabilityChanged()
  }

  // MARK: Time

  private func rearm() { phase = .head(until: .now() + .seconds(Int64(limits.headSeconds + 75))) }

  private func look(_ context: ChannelHandlerContext) {
    let now = NIODeadline.now()
    if let since = unwritableSince, now - since > .seconds(Int64(2 * limits.stallSeconds)) {
      note(408, "a client does not read its answer", limit: "stallSeconds", context)
      return end(context)
    }
    switch phase {
    case .head(let until): if now > until { end(context) }
    case .body:
      guard let since = waitingSince else { return }
      let pause = now - since
      let stall = TimeAmount.seconds(Int64(limits.stallSeconds))
      let allowed =
        limits.bytesPerSecond == 0 ? nil : stall + .milliseconds(Int64(min(received, 1 << 40)) * 1000 / Int64(limits.bytesPerSecond))
      let isSlow = allowed.map { waited + pause > $0 } ?? false
      guard pause > stall || isSlow else { return }
      note(408, "a body came too slowly: \(received) bytes so far", limit: isSlow ? "bytesPerSecond" : "stallSeconds", context)
      phase = .closing
      context.fireErrorCaught(SlowClient())
      // The route answers with 408 in the meantime.
      let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
      context.eventLoop.scheduleTask(in: .seconds(1)) { bound.value.close(promise: nil) }
    case .rest(_, let until): if now > until { end(context) }
    case .answer, .closing: break
    }
  }

  private func end(_ context: ChannelHandlerContext) {
    phase = .closing
    context.close(promise: nil)
  }

  private func note(_ status: Int, _ why: String, limit: String, _ context: ChannelHandlerContext) {
    log.note(status, why, limit: limit, ["client": "\(context.channel.remoteAddress?.ipAddress ?? "?")"])
  }
}
