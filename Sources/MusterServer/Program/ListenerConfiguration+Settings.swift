import Glibc
import MusterSchema

extension ListenerConfiguration {
  /// Reads the keys `NAME.host`, `NAME.port` (1–65535), `NAME.advertise` (default: the host and port) and `NAME.limits.*`
  /// (``ListenerLimits``). With `checksNames` it also reads `NAME.hosts`, a list of further names of this server.
  ///
  /// - Parameters:
  ///   - checksNames: whether the listener refuses requests for unknown names and from pages of other sites.
  ///   - limits: the default limits.
  ///   - usual: the default of `NAME.advertise`, if it does not follow from host and port.
  init(
    _ settings: ServerSettings, _ name: String, host: String, port: Int, checksNames: Bool = false,
    limits: ListenerLimits = ListenerLimits(), advertise usual: String? = nil, tls: ListenerTLS? = nil
  ) async throws {
    self.init(
      name: name, host: try await settings.host("\(name).host", default: host).name,
      port: try await settings.number("\(name).port", default: port, in: 1...65535))
    let reachable = self.host == "0.0.0.0" || self.host == "::" ? "127.0.0.1" : self.host
    self.tls = tls
    let scheme = tls == nil ? "http" : "https"
    var address = try await settings.text(
      "\(name).advertise", default: usual ?? "\(scheme)://\(try Host(validating: reachable)):\(self.port)")
    while address.hasSuffix("/") { address.removeLast() }
    let advertised: ServerAddress
    do {
      advertised = try ServerAddress(base: address)
    } catch {
      throw ConfigurationError("\(name).advertise", error.description)
    }
    guard tls == nil || advertised.isTLS else {
      throw ConfigurationError("\(name).advertise", "\(address) must begin with https://, because this listener uses TLS")
    }
    advertise = advertised.description
    self.limits = try await ListenerLimits(settings, name, defaults: limits)
    guard checksNames else { return }
    var names = [advertised.host, try Host(validating: self.host)]
    if let machine = Host(ofThisMachine: ()) { names.append(machine) }
    for text in try await settings.list("\(name).hosts") ?? [] {
      do {
        names.append(try Host(validating: text))
      } catch {
        throw ConfigurationError("\(name).hosts", error.description)
      }
    }
    self.names = names
  }
}

extension Host {
  /// This machine's name; `nil` if it is not a valid host name.
  fileprivate init?(ofThisMachine: Void) {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return nil }
    let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    do { try self.init(validating: name) } catch { return nil }
  }
}
