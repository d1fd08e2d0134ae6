import Glibc

/// The kernel's current figures for a process.
package struct ProcessReading: Hashable, Sendable {
  /// Processor time in user and kernel mode since the process started, in seconds. The kernel counts in hundredths.
  package var processorSeconds: Double
  /// Resident memory now, in bytes.
  package var residentBytes: Int
  /// The largest resident memory so far, in bytes.
  package var peakBytes: Int

  package init(processorSeconds: Double, residentBytes: Int, peakBytes: Int) {
    self.processorSeconds = processorSeconds
    self.residentBytes = residentBytes
    self.peakBytes = peakBytes
  }

  /// Reads the figures of a running process.
  ///
  /// - Throws: ``LoadError/system(_:)`` when no process has this pid.
  package init(of pid: Int32) throws(LoadError) {
    try self.init(stat: try Self.text("/proc/\(pid)/stat"), status: try Self.text("/proc/\(pid)/status"))
  }

  /// - Parameters:
  ///   - stat: the text of `/proc/PID/stat`.
  ///   - status: the text of `/proc/PID/status`.
  init(stat: String, status: String) throws(LoadError) {
    // The name in parentheses may hold spaces and parentheses, so the fields begin behind the last closing one.
    let fields = stat[(stat.lastIndex(of: ")").map(stat.index(after:)) ?? stat.startIndex)...].split(separator: " ")
    guard fields.count > 12, let user = Int(fields[11]), let kernel = Int(fields[12]), user >= 0, kernel >= 0,
      let resident = Self.kibibytes("VmRSS", in: status), let peak = Self.kibibytes("VmHWM", in: status)
    else { throw .system("the process has ended, so /proc has no figures for it") }
    processorSeconds = (Double(user) + Double(kernel)) / Double(sysconf(Int32(_SC_CLK_TCK)))
    residentBytes = resident << 10
    peakBytes = peak << 10
  }

  private static func kibibytes(_ name: String, in status: String) -> Int? {
    for line in status.split(separator: "\n") where line.hasPrefix("\(name):") {
      let words = line.split { $0 == " " || $0 == "\t" }
      return words.count > 1 ? Int(words[1]).flatMap { (0...1 << 40).contains($0) ? $0 : nil } : nil
    }
    return nil
  }

  private static func text(_ path: String) throws(LoadError) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .system("\(path) cannot be read: \(String(cString: strerror(errno)))") }
    defer { close(file) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while text.count < 64 << 10 {
      let count = read(file, &buffer, buffer.count)
      guard count >= 0 else { throw .system("\(path) cannot be read: \(String(cString: strerror(errno)))") }
      if count == 0 { break }
      text.append(contentsOf: buffer[..<count])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
