import CCurl
import Glibc
import Logging
import MusterGround
import Synchronization

/// Passes commands from the rest of the program to the curl thread.
///
/// libcurl's handles belong to one thread. Other threads leave a command here and wake that thread with `curl_multi_wakeup`, the only call
/// that libcurl allows from other threads.
final class CurlMailbox: Sendable {
  enum Command: Sendable {
    case start(id: UInt64, TransferRequest, @Sendable (Result<HTTPResponse, TransferError>) -> Void)
    case cancel(id: UInt64)
  }

  private struct State {
    var commands: [Command] = []
    var nextID: UInt64 = 0
    var isStopping = false
    /// `nil` before the thread has begun and after it has ended. Only `curl_multi_wakeup` is called on it here.
    var multi: Wakeable?
  }

  private struct Wakeable: @unchecked Sendable {
    // Sound: the pointer is only passed to curl_multi_wakeup, which is documented as safe from any thread, and under the same lock that the
    // curl thread takes before it frees the handle.
    let handle: UnsafeMutableRawPointer
  }

  private let state = Mutex(State())

  func nextID() -> UInt64 {
    state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
  }

  /// - Returns: false when the client is stopping and the command was not taken.
  func post(_ command: Command) -> Bool {
    state.withLock { state in
      guard !state.isStopping else { return false }
      state.commands.append(command)
      if let multi = state.multi { curl_multi_wakeup(multi.handle) }
      return true
    }
  }

  func stop() {
    state.withLock { state in
      state.isStopping = true
      if let multi = state.multi { curl_multi_wakeup(multi.handle) }
    }
  }

  func open(_ multi: UnsafeMutableRawPointer) { state.withLock { $0.multi = Wakeable(handle: multi) } }
  func close() { state.withLock { $0.multi = nil } }

  /// The commands posted since the last call, and whether the thread must stop.
  func take() -> (commands: [Command], isStopping: Bool) {
    state.withLock { state in
      defer { state.commands = [] }
      return (state.commands, state.isStopping)
    }
  }
}

/// The only thread that uses libcurl's handles.
final class CurlThread {
  private let mailbox: CurlMailbox
  private let configuration: HTTPConfiguration
  private let logger: Logger
  private let multi: UnsafeMutableRawPointer
  private var active: [UInt64: CurlTransfer] = [:]
  /// Easy handles of finished transfers. Reusing one saves its set-up.
  private var spare: [UnsafeMutableRawPointer] = []

  private init(_ mailbox: CurlMailbox, _ configuration: HTTPConfiguration, _ logger: Logger, _ multi: UnsafeMutableRawPointer) {
    self.mailbox = mailbox
    self.configuration = configuration
    self.logger = logger
    self.multi = multi
  }

  static func start(_ mailbox: CurlMailbox, _ configuration: HTTPConfiguration, _ logger: Logger) throws(TransferError) {
    guard globalState == CURLE_OK else { throw .io("libcurl cannot be initialized") }
    let run: @Sendable () -> Void = {
      guard let multi = curl_multi_init() else {
        logger.error("libcurl has no memory left for its handles")
        return fail(mailbox)
      }
      mailbox.open(multi)
      CurlThread(mailbox, configuration, logger, multi).run()
    }
    do throws(ThreadError) { try Threads.start(named: "muster-curl", run) } catch { throw .io("\(error)") }
  }

  private static func fail(_ mailbox: CurlMailbox) {
    mailbox.stop()
    for case .start(_, _, let finish) in mailbox.take().commands { finish(.failure(.io("libcurl cannot be initialized"))) }
  }

  private func run() {
    _ = muster_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, configuration.idleConnections)
    while true {
      let (commands, isStopping) = mailbox.take()
      for command in commands { carryOut(command) }
      if isStopping { break }
      var running: Int32 = 0
      var code = curl_multi_perform(multi, &running)
      harvest()
      if code == CURLM_OK {
        // A command wakes the thread, and libcurl shortens the wait for its own timers, so the long timeout delays nothing.
        code = curl_multi_poll(multi, nil, 0, 60_000, nil)
      }
      if code != CURLM_OK {
        logger.error("libcurl's loop failed", metadata: ["http.error": "\(String(cString: curl_multi_strerror(code)))"])
        // Pause, so that a failure that persists does not make the loop run at full speed.
        usleep(10_000)
      }
    }
    for id in active.keys.sorted() { end(id, .failure(.cancelled)) }
    mailbox.close()
    for handle in spare { curl_easy_cleanup(handle) }
    curl_multi_cleanup(multi)
  }

  private func carryOut(_ command: CurlMailbox.Command) {
    switch command {
    case .start(let id, let request, let finish):
      guard let handle = spare.popLast() ?? curl_easy_init() else { return finish(.failure(.io("libcurl has no memory left"))) }
      let transfer = CurlTransfer(id, request, handle, finish)
      do throws(TransferError) {
        try transfer.configure(configuration)
      } catch {
        transfer.release()
        curl_easy_cleanup(handle)
        return finish(.failure(error))
      }
      active[id] = transfer
      let code = curl_multi_add_handle(multi, handle)
      if code != CURLM_OK { end(id, .failure(.io("libcurl: \(String(cString: curl_multi_strerror(code)))"))) }
    case .cancel(let id): end(id, .failure(.cancelled))
    }
  }

  private func harvest() {
    var left: Int32 = 0
    while let message = curl_multi_info_read(multi, &left) {
      guard muster_curl_is_done(message) != 0, let handle = message.pointee.easy_handle else { continue }
      let result = muster_curl_result(message)
      guard let (id, transfer) = active.first(where: { $0.value.handle == handle }) else { continue }
      end(id, transfer.outcome(result))
    }
  }

  private func end(_ id: UInt64, _ outcome: Result<HTTPResponse, TransferError>) {
    guard let transfer = active.removeValue(forKey: id) else { return }
    curl_multi_remove_handle(multi, transfer.handle)
    transfer.release()
    if spare.count < 8 {
      curl_easy_reset(transfer.handle)
      spare.append(transfer.handle)
    } else {
      curl_easy_cleanup(transfer.handle)
    }
    transfer.finish(outcome)
  }
}

/// The result of libcurl's process-wide set-up, which runs once.
private let globalState: CURLcode = curl_global_init(Int(CURL_GLOBAL_DEFAULT))
