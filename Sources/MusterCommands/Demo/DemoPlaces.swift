import FoundationEssentials
import Glibc
import MusterSchema

/// Finds the files that a fleet on this machine needs: Muster's executables, the checkout and the broker.
enum DemoPlaces {
  /// The folder of the running executable.
  static func executableFolder() throws(CommandError) -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    guard count > 0 else { throw CommandError(.unexpected, "/proc/self/exe cannot be read: \(String(cString: strerror(errno)))") }
    return parent(of: String(decoding: buffer.prefix(count), as: UTF8.self))
  }

  /// Finds the executables.
  ///
  /// - Parameter names: the programs that must be in `folder`.
  static func executables(
    _ folder: String, _ names: [String] = ["muster-central", "muster-region", "muster-agent", "muster-train"]
  ) throws(CommandError) -> DemoPlan.Executables {
    for name in names where !isExecutable("\(folder)/\(name)") {
      throw CommandError(.unexpected, "\(name) is not in \(folder), where muster is; build the whole package first (swift build)")
    }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    // Debian installs mosquitto in a folder that is not in an ordinary user's PATH.
    let folders = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin"]
    guard let mosquitto = folders.map({ "\($0)/mosquitto" }).first(where: isExecutable) else {
      throw CommandError(.unexpected, "mosquitto was not found in PATH or /usr/sbin; install it (apt-get install mosquitto)")
    }
    return DemoPlan.Executables(folder: folder, mosquitto: mosquitto)
  }

  /// The checkout that contains `examples/digits`: a parent of the current folder or of the executable's folder.
  static func checkout(executables: String) -> String? {
    for start in [FileManager.default.currentDirectoryPath, executables] {
      var folder = start
      while folder.count > 1 {
        if FileManager.default.fileExists(atPath: "\(folder)/examples/digits/data") { return folder }
        folder = parent(of: folder)
      }
    }
    return nil
  }

  static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
    return String(path[..<slash])
  }

  /// Makes a temporary folder.
  ///
  /// - Parameter verb: the command that needs it, such as `demo`. It becomes a part of the name.
  static func temporaryFolder(_ verb: String) throws(CommandError) -> String {
    let base = ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
    var template = Array("\(base)/muster-\(verb)-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    guard let made else {
      throw CommandError(.unexpected, "cannot create a temporary folder in \(base): \(String(cString: strerror(errno)))")
    }
    return made
  }

  static func write(_ text: String, to path: String) throws(CommandError) {
    do {
      try FileManager.default.createDirectory(atPath: parent(of: path), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: URL(filePath: path))
    } catch {
      throw CommandError(.unexpected, "\(path) cannot be written: \(systemReason(error))")
    }
  }

  /// The last lines of a log, for an error message.
  static func tail(_ path: String, lines: Int = 15) -> String {
    do {
      let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
      return text.split(separator: "\n").suffix(lines).map { "  \($0)".withoutEscapes }.joined(separator: "\n")
    } catch {
      return "  (\(path) cannot be read: \(systemReason(error)))"
    }
  }

  static var architecture: String {
    var names = utsname()
    guard uname(&names) == 0 else { return "unknown" }
    return withUnsafeBytes(of: names.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  private static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }
}

/// TCP ports of the loopback interface.
enum Loopback {
  /// Ports that are free at the moment, all different.
  static func freePorts(_ count: Int) throws(CommandError) -> [Int] {
    var sockets: [Int32] = []
    defer { for socket in sockets { close(socket) } }
    var ports: [Int] = []
    // The sockets stay open until all ports are found, so that no port is returned twice.
    for _ in 0..<count {
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      guard descriptor >= 0 else { throw noPort() }
      sockets.append(descriptor)
      var address = address(port: 0)
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      let code = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, size) == 0 ? getsockname(descriptor, $0, &size) : -1
        }
      }
      guard code == 0 else { throw noPort() }
      ports.append(Int(UInt16(bigEndian: address.sin_port)))
    }
    return ports
  }

  /// Whether a program accepts connections at the port.
  static func accepts(_ port: Int) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var address = address(port: port)
    return withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }

  private static func noPort() -> CommandError {
    CommandError(.unexpected, "cannot find a free port on 127.0.0.1: \(String(cString: strerror(errno)))")
  }

  private static func address(port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    return address
  }
}
