import MusterSchema
import MusterTrainers

extension AgentConfiguration {
  /// Reads `trainers`: `{NAME: {"command": [PROGRAM, …], …}}`. Without this key there is one trainer, the built-in one, which is resident.
  static func trainers(_ settings: inout AgentSettings) throws(AgentConfigurationError) -> [String: TrainerProgram] {
    let threads = try settings.integer("threads", in: 1...1024, else: 1)
    let folder = settings.folder
    guard let object = try settings.object("trainers") else {
      return [
        "built-in": TrainerProgram(
          command: ["muster-train", "--resident"], resident: true, threads: threads, timeoutSeconds: defaultTimeout, folder: folder)
      ]
    }
    let origin = settings.lastOrigin
    guard !object.isEmpty else { throw AgentConfigurationError("trainers", in: origin, "must name at least one trainer") }
    var trainers: [String: TrainerProgram] = [:]
    var announced = 0
    for (name, value) in object.sorted(by: { $0.key < $1.key }) {
      let key = "trainers.\(name)"
      guard (1...63).contains(name.utf8.count) else {
        throw AgentConfigurationError(key, in: origin, "a trainer's name must have 1 to 63 bytes")
      }
      guard case .object(let members) = value else {
        throw AgentConfigurationError(key, in: origin, "must be {\"command\": [PROGRAM, …], \"resident\": true or false}")
      }
      try checkNames(members.keys, trainerKeys, key, origin)
      do {
        let text = try JSON.encode(value)
        var program: TrainerProgram
        do {
          program = try JSON.decode(TrainerProgram.self, from: text)
        } catch {
          throw AgentConfigurationError(key, in: origin, JSON.explain(error, in: text))
        }
        if members["threads"] == nil { program.threads = threads }
        // An explicit `null` means that the owner sets no limit on the time of a job.
        if members["timeoutSeconds"] == nil { program.timeoutSeconds = defaultTimeout }
        // A relative path of the program also starts from the configuration file's folder.
        if let first = program.command.first, first.contains("/"), !first.hasPrefix("/"), let folder {
          program.command[0] = "\(folder)/\(first)"
        }
        program.folder = program.folder ?? folder
        if case .object(let limits)? = members["limits"] { try checkNames(limits.keys, TrainerLimits.keys, "\(key).limits", origin) }
        if let user = program.user { try check(user: user, "\(key).user", origin) }
        announced += name.utf8.count + (program.models ?? []).reduce(program.version?.utf8.count ?? 0) { $0 + $1.utf8.count + 3 }
        // The device's birth holds all of these, and is limited to 4 KiB.
        guard announced <= 2048 else {
          throw AgentConfigurationError(
            "trainers", in: origin, "the trainers' names, models and versions take more than the 2 KiB that a device may announce")
        }
        trainers[name] = program
      } catch let error as AgentConfigurationError {
        throw error
      } catch {
        throw AgentConfigurationError(key, in: origin, "\(error)")
      }
    }
    return trainers
  }

  /// The default time limit in seconds, so that a trainer that hangs does not block its device forever.
  static let defaultTimeout = 3600.0

  private static let trainerKeys = [
    "command", "resident", "idleSeconds", "environment", "threads", "graceSeconds", "timeoutSeconds", "folder", "user", "limits", "models",
    "version",
  ]

  private static func checkNames(
    _ names: some Collection<String>, _ known: [String], _ key: String, _ origin: String?
  ) throws(AgentConfigurationError) {
    for name in names.sorted() where !known.contains(name) {
      throw AgentConfigurationError("\(key).\(name)", in: origin, "unknown key; known keys here: \(known.joined(separator: ", "))")
    }
  }

  private static func check(user: String, _ key: String, _ origin: String?) throws(AgentConfigurationError) {
    guard TrainerAccount(user) != nil else {
      throw AgentConfigurationError(key, in: origin, "there is no user \"\(user.withoutControlCharacters)\" on this device")
    }
    guard HostFacts.isRoot else {
      throw AgentConfigurationError(key, in: origin, "only an agent that runs as root can run trainers as another user")
    }
  }
}
