import Glibc

/// The process's limit on open descriptors.
package enum FileLimit {
  /// libmosquitto holds three for each client: its socket, and a pair of sockets for waking a thread of its own.
  static let eachDevice = 3
  /// Descriptors for everything else: logs, pipes and the programs that are started.
  static let reserve = 256

  /// The number of descriptors that `devices` devices need.
  ///
  /// - Parameter transfers: the number of HTTP requests at a time.
  package static func needed(devices: Int, transfers: Int) -> Int { devices * eachDevice + transfers * 2 + reserve }

  /// The largest number of devices for which `limit` descriptors are enough.
  static func devices(within limit: Int, transfers: Int) -> Int { max(0, (limit - needed(devices: 0, transfers: transfers)) / eachDevice) }

  /// Raises the process's limit to the hard limit. Programs that it starts afterwards have the same limit.
  ///
  /// - Throws: ``LoadError/tooFewDescriptors(needed:allowed:devices:most:)`` when the hard limit is too low.
  package static func raise(for devices: Int, transfers: Int) throws(LoadError) {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      throw .system("the limit on open files cannot be read: \(String(cString: strerror(errno)))")
    }
    let (needed, allowed) = (needed(devices: devices, transfers: transfers), Int(clamping: limit.rlim_max))
    guard needed <= allowed else {
      let most = Self.devices(within: allowed, transfers: transfers)
      throw .tooFewDescriptors(needed: needed, allowed: allowed, devices: devices, most: most)
    }
    limit.rlim_cur = limit.rlim_max
    guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      throw .system("the limit on open files cannot be raised: \(String(cString: strerror(errno)))")
    }
  }
}
