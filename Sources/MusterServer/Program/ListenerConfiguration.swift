import Glibc
package import MusterSchema

/// Where a server listens, and what it calls that address to others.
package struct ListenerConfiguration: Sendable {
  package var host: String
  package var port: Int
  /// `http://host:port`, as others reach it.
  package var advertise: String
  /// Names by which callers may ask for it, beside its addresses and `localhost`.
  package var names: [Host] = []

  /// Keys: `NAME.host`, `NAME.port` (1–65535), `NAME.advertise` (default: the host and port); with `namesCallers` also `NAME.hosts`, a list of
  /// further names of this server.
  ///
  /// - Parameter namesCallers: whether the listener checks by which name it is asked for.
  package init(_ settings: ServerSettings, _ name: String, host: String, port: Int, namesCallers: Bool = false) async throws {
    self.host = try await settings.host("\(name).host", default: host).name
    self.port = try await settings.number("\(name).port", default: port, in: 1...65535)
    let reachable = self.host == "0.0.0.0" || self.host == "::" ? "127.0.0.1" : self.host
    var advertise = try await settings.text("\(name).advertise", default: "http://\(try Host(validating: reachable)):\(self.port)")
    while advertise.hasSuffix("/") { advertise.removeLast() }
    do {
      let address = try ServerAddress(base: advertise)
      self.advertise = address.description
      names = [address.host, try Host(validating: self.host)]
    } catch {
      throw ConfigurationError("\(name).advertise", error.description)
    }
    guard namesCallers else { return }
    if let machine = Host(ofThisMachine: ()) { names.append(machine) }
    for text in try await settings.list("\(name).hosts") ?? [] {
      do {
        names.append(try Host(validating: text))
      } catch {
        throw ConfigurationError("\(name).hosts", error.description)
      }
    }
  }
}

extension Host {
  /// This machine's name; nil when it has none that could be asked for.
  fileprivate init?(ofThisMachine: Void) {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return nil }
    let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    do { try self.init(validating: name) } catch { return nil }
  }
}

extension ListenerConfiguration {
  /// A word to the operator when others are told an address that only this machine reaches.
  package func warning(_ name: String) -> String? {
    let isLocal = ["//127.", "//localhost", "//[::1]"].contains { advertise.contains($0) }
    let listensToOthers = !host.hasPrefix("127.") && host != "localhost" && host != "::1"
    guard isLocal, listensToOthers else { return nil }
    return "others are told \(advertise), which only this machine reaches: set \(name).advertise"
  }
}
