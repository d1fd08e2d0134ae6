package import MusterMQTT

/// The reason why the load cannot be generated.
package enum LoadError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The process may not open as many descriptors as the devices need. `most` is the number of devices for which the limit is enough.
  case tooFewDescriptors(needed: Int, allowed: Int, devices: Int, most: Int)
  /// Not all devices could connect, and no further device connected for a minute.
  case noProgress(connected: Int, devices: Int, reason: MQTTError?)
  /// The operating system refused something.
  case system(String)

  package var description: String {
    switch self {
    case .tooFewDescriptors(let needed, let allowed, let devices, let most):
      """
      \(devices) devices need \(needed) open files, but this process may have only \(allowed): raise the hard limit (ulimit -Hn, or \
      nofile in /etc/security/limits.conf), or use at most \(most) devices
      """
    case .noProgress(let connected, let devices, let reason):
      "only \(connected) of \(devices) devices are connected, and no further device connected for a minute\(reason.map { ": \($0)" } ?? "")"
    case .system(let why): why
    }
  }
}
