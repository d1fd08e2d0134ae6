import Glibc
import MusterSchema
import MusterTransfer

/// Digest and size of what will be uploaded. Small files at once, large ones on a thread of their own: hashing them takes its time.
func measure(_ source: UploadSource) async throws(TransferError) -> (digest: Digest, bytes: Int) {
  if (Files.size(source.file) ?? 0) <= 1 << 20 { return try source.measure() }
  return try await onThread { () throws(TransferError) in try source.measure() }
}

/// Does what takes its time on a thread of its own.
func onThread<T: Sendable, E: Error>(_ body: @escaping @Sendable () throws(E) -> T) async throws(E) -> T {
  let result: Result<T, E> = await withCheckedContinuation { continuation in
    startThread { continuation.resume(returning: Result(catching: body)) }
  }
  return try result.get()
}

/// Name of the threads that may block, as `top -H` shows it.
let blockingThreadName = "muster-blocking"

/// Runs a closure on a thread that nobody waits for; here, if there is no thread to be had.
func startThread(_ run: @escaping @Sendable () -> Void) {
  let work = Unmanaged.passRetained(ThreadWork(run))
  var thread = pthread_t()
  let code = pthread_create(
    &thread, nil,
    { @Sendable argument in
      nameThread(blockingThreadName)
      if let argument { Unmanaged<ThreadWork>.fromOpaque(argument).takeRetainedValue().run() }
      return nil
    }, work.toOpaque())
  if code == 0 {
    pthread_detach(thread)
  } else {
    work.takeRetainedValue().run()
  }
}

/// Names the calling thread, 15 bytes at most. (`pthread_setname_np` is an extension that Swift's Glibc module does not show.)
private func nameThread(_ name: String) {
  let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
  guard file >= 0 else { return }
  _ = write(file, name, name.utf8.count)
  close(file)
}

private final class ThreadWork: Sendable {
  let run: @Sendable () -> Void

  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
