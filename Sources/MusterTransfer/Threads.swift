// For pthread_attr_t, which the importer finds there first.
import CCurl
import Glibc

private final class ThreadBody: Sendable {
  let run: @Sendable () -> Void

  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Runs a closure on a detached thread of its own.
package func startDetachedThread(_ run: @escaping @Sendable () -> Void) throws(TransferError) {
  let argument = Unmanaged.passRetained(ThreadBody(run))
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  pthread_attr_setstacksize(&attributes, 512 << 10)
  var thread = pthread_t()
  let code = pthread_create(
    &thread, &attributes,
    { @Sendable argument in
      if let argument { Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run() }
      return nil
    }, argument.toOpaque())
  guard code == 0 else {
    argument.release()
    throw .io("no thread: \(reason(code))")
  }
}

/// Runs file work that blocks away from the cooperative threads.
func blocking<T: Sendable>(_ work: @escaping @Sendable () throws(TransferError) -> T) async throws(TransferError) -> T {
  let result: Result<T, TransferError> = await withCheckedContinuation { continuation in
    do throws(TransferError) {
      try startDetachedThread { continuation.resume(returning: Result(catching: work)) }
    } catch {
      continuation.resume(returning: .failure(error))
    }
  }
  return try result.get()
}
