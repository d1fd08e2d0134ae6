// `pthread_attr_t` comes from CSpawn, because the importer finds it there first.
internal import CSpawn
import Glibc

/// The system refused to start another thread.
package struct ThreadError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The error number of `pthread_create`.
  package let code: Int32
  package var description: String { "cannot start a thread: \(String(cString: strerror(code)))" }
}

package enum Threads {
  /// Runs a closure on a new, detached thread.
  ///
  /// - Parameters:
  ///   - name: the thread's name in `top -H`, at most 15 bytes; `nil` keeps the program's name.
  ///   - stackBytes: the address space reserved for its stack.
  package static func start(
    named name: StaticString? = nil, stackBytes: Int = 512 << 10, _ run: @escaping @Sendable () -> Void
  ) throws(ThreadError) {
    let body = Unmanaged.passRetained(Body(name: name, run: run))
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, stackBytes)
    var thread = pthread_t()
    let code = pthread_create(
      &thread, &attributes,
      { @Sendable argument in
        guard let argument else { return nil }
        let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        if let name = body.name { nameThread(name) }
        body.run()
        return nil
      }, body.toOpaque())
    guard code == 0 else {
      body.release()
      throw ThreadError(code: code)
    }
  }

  private final class Body: Sendable {
    let name: StaticString?
    let run: @Sendable () -> Void

    init(name: StaticString?, run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }
  }
}

/// Names the calling thread through `/proc`, because Swift's Glibc module does not show the extension `pthread_setname_np`.
private func nameThread(_ name: StaticString) {
  let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
  guard file >= 0 else { return }
  _ = write(file, name.utf8Start, name.utf8CodeUnitCount)
  close(file)
}
