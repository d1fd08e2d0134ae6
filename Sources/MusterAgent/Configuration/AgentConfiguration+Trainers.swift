import MusterSchema
import MusterTrainers

extension AgentConfiguration {
  /// `trainers`: `{NAME: {"command": [PROGRAM, …], …}}`. Without it: the built-in one, resident.
  static func trainers(_ settings: inout AgentSettings) throws(ConfigurationError) -> [String: TrainerProgram] {
    let threads = try settings.integer("threads", in: 1...1024, else: 1)
    let folder = settings.folder
    guard let object = try settings.object("trainers") else {
      return [
        "built-in": TrainerProgram(command: ["muster-train", "--resident"], resident: true, threads: threads, folder: folder)
      ]
    }
    let origin = settings.lastOrigin
    guard !object.isEmpty else { throw ConfigurationError("trainers", in: origin, "names no trainer") }
    var trainers: [String: TrainerProgram] = [:]
    for (name, value) in object.sorted(by: { $0.key < $1.key }) {
      let key = "trainers.\(name)"
      guard (1...63).contains(name.utf8.count) else { throw ConfigurationError(key, in: origin, "a trainer's name has 1 to 63 bytes") }
      guard case .object(let members) = value else {
        throw ConfigurationError(key, in: origin, "must be {\"command\": [PROGRAM, …], \"resident\": true or false}")
      }
      for member in members.keys.sorted() where !Self.trainerKeys.contains(member) {
        throw ConfigurationError(
          "\(key).\(member)", in: origin, "there is no such key; known here: \(Self.trainerKeys.joined(separator: ", "))")
      }
      do {
        var program = try JSON.decode(TrainerProgram.self, from: try JSON.encode(value))
        if members["threads"] == nil { program.threads = threads }
        // The program's own relative path, too, starts from the configuration file.
        if let first = program.command.first, first.contains("/"), !first.hasPrefix("/"), let folder {
          program.command[0] = "\(folder)/\(first)"
        }
        program.folder = program.folder ?? folder
        trainers[name] = program
      } catch {
        let why = JSON.explain(error)
        throw ConfigurationError(key, in: origin, why)
      }
    }
    return trainers
  }

  private static let trainerKeys = [
    "command", "resident", "idleSeconds", "environment", "threads", "graceSeconds", "timeoutSeconds", "folder",
  ]
}
