import MusterSchema
import MusterTrainers

extension AgentConfiguration {
  /// `trainers`: `{NAME: {"command": [PROGRAM, …], …}}`. Without it: the built-in one, resident.
  static func trainers(_ settings: inout AgentSettings) throws(ConfigurationError) -> [String: TrainerProgram] {
    let threads = try settings.integer("threads", in: 1...1024, else: 1)
    let folder = settings.folder
    guard let object = try settings.object("trainers") else {
      return [
        "built-in": TrainerProgram(
          command: ["muster-train", "--resident"], resident: true, threads: threads, timeoutSeconds: defaultTimeout, folder: folder)
      ]
    }
    let origin = settings.lastOrigin
    guard !object.isEmpty else { throw ConfigurationError("trainers", in: origin, "names no trainer") }
    var trainers: [String: TrainerProgram] = [:]
    var announced = 0
    for (name, value) in object.sorted(by: { $0.key < $1.key }) {
      let key = "trainers.\(name)"
      guard (1...63).contains(name.utf8.count) else { throw ConfigurationError(key, in: origin, "a trainer's name has 1 to 63 bytes") }
      guard case .object(let members) = value else {
        throw ConfigurationError(key, in: origin, "must be {\"command\": [PROGRAM, …], \"resident\": true or false}")
      }
      try checkNames(members.keys, trainerKeys, key, origin)
      do {
        let text = try JSON.encode(value)
        var program: TrainerProgram
        do {
          program = try JSON.decode(TrainerProgram.self, from: text)
        } catch {
          throw ConfigurationError(key, in: origin, JSON.explain(error, in: text))
        }
        if members["threads"] == nil { program.threads = threads }
        // `null` is the owner's word that a job may take as long as it takes.
        if members["timeoutSeconds"] == nil { program.timeoutSeconds = defaultTimeout }
        // The program's own relative path, too, starts from the configuration file.
        if let first = program.command.first, first.contains("/"), !first.hasPrefix("/"), let folder {
          program.command[0] = "\(folder)/\(first)"
        }
        program.folder = program.folder ?? folder
        if case .object(let limits)? = members["limits"] { try checkNames(limits.keys, TrainerLimits.keys, "\(key).limits", origin) }
        if let user = program.user { try check(user: user, "\(key).user", origin) }
        announced += name.utf8.count + (program.models ?? []).reduce(program.version?.utf8.count ?? 0) { $0 + $1.utf8.count + 3 }
        // The device's birth holds all of it, and has 4 KiB.
        guard announced <= 2048 else {
          throw ConfigurationError("trainers", in: origin, "names, models and versions take more than the 2 KiB that a device may announce")
        }
        trainers[name] = program
      } catch let error as ConfigurationError {
        throw error
      } catch {
        throw ConfigurationError(key, in: origin, "\(error)")
      }
    }
    return trainers
  }

  /// Seconds. A trainer that hangs shall not keep its device from working for ever.
  static let defaultTimeout = 3600.0

  private static let trainerKeys = [
    "command", "resident", "idleSeconds", "environment", "threads", "graceSeconds", "timeoutSeconds", "folder", "user", "limits", "models",
    "version",
  ]

  private static func checkNames(
    _ names: some Collection<String>, _ known: [String], _ key: String, _ origin: String?
  ) throws(ConfigurationError) {
    for name in names.sorted() where !known.contains(name) {
      throw ConfigurationError("\(key).\(name)", in: origin, "there is no such key; known here: \(known.joined(separator: ", "))")
    }
  }

  private static func check(user: String, _ key: String, _ origin: String?) throws(ConfigurationError) {
    guard TrainerAccount(user) != nil else {
      throw ConfigurationError(key, in: origin, "there is no user \"\(user.withoutControlCharacters)\" on this device")
    }
    guard Machine.isRoot else {
      throw ConfigurationError(key, in: origin, "only an agent that runs as root can run trainers as another user")
    }
  }
}
