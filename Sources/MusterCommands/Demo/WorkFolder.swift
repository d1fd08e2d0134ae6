import FoundationEssentials
import MusterSchema

/// The folder of one fleet on this machine: configurations, logs and state.
struct WorkFolder: Sendable {
  let path: String

  /// - Parameters:
  ///   - given: the folder that the user named, which must be empty or new; `nil` makes a temporary folder.
  ///   - verb: the command that needs it, such as `demo`.
  init(_ given: String?, of verb: String) throws(CommandError) {
    if let given {
      path = given.hasPrefix("/") ? given : "\(FileManager.default.currentDirectoryPath)/\(given)"
    } else {
      path = try DemoPlaces.temporaryFolder(verb)
    }
    let content: [String]
    do {
      try FileManager.default.createDirectory(atPath: "\(path)/logs", withIntermediateDirectories: true)
      content = try FileManager.default.contentsOfDirectory(atPath: path)
    } catch {
      throw CommandError(.usage, "\(path) cannot be used: \(systemReason(error))")
    }
    // Otherwise the tasks of an earlier fleet would continue in this one.
    guard content == ["logs"] else { throw CommandError(.usage, "\(path) is not empty; the \(verb) needs an empty or new folder") }
  }

  func remove() {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      Console.note("muster: \(path) cannot be removed: \(systemReason(error))")
    }
  }
}
