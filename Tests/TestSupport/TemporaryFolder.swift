import FoundationEssentials
import Glibc
import Synchronization

/// A new folder below the system's temporary folder. It is removed when the value is released.
package final class TemporaryFolder: Sendable {
  package let path: String

  package init() throws(TestSupportError) {
    let template = FileManager.default.temporaryDirectory.appendingPathComponent("muster-test-XXXXXX").path
    var characters = Array(template.utf8CString)
    let made = characters.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    guard let made else { throw TestSupportError("no temporary folder: \(String(cString: strerror(errno)))") }
    path = made
  }

  deinit {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      print("the temporary folder \(path) stays: \(error)")
    }
  }

  /// The path of an entry of the folder.
  package func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Writes a file and returns its path.
  @discardableResult
  package func write(_ text: String, to name: String) throws -> String {
    try write(Array(text.utf8), to: name)
  }

  @discardableResult
  package func write(_ bytes: [UInt8], to name: String) throws -> String {
    try Data(bytes).write(to: URL(filePath: file(name)))
    return file(name)
  }
}

/// An error in a test's setup, and not in the tested code.
package struct TestSupportError: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
