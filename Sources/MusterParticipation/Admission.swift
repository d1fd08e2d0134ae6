package import MusterSchema

/// Whether a node could take part in a task's next round.
package struct Readiness: Hashable, Sendable {
  /// Devices that could take part: 0 or 1 for a device, any number for a region.
  package var devices: Int
  package var declined: Int
  /// Why a device cannot take part.
  package var reason: String?
  package var retrySeconds: Double?
  /// At a region: some of the devices that declined, with their reasons.
  package var waiting: [Waiting]
  /// At a device: the trainer that it would use.
  package var trainer: String?

  package init(
    devices: Int, declined: Int = 0, reason: String? = nil, retrySeconds: Double? = nil, waiting: [Waiting] = [], trainer: String? = nil
  ) {
    self.trainer = trainer
    self.devices = devices
    self.declined = declined
    self.reason = reason
    self.retrySeconds = retrySeconds
    self.waiting = waiting
  }

  package static let ready = Readiness(devices: 1)
  package static func declined(_ reason: String, retrySeconds: Double? = nil) -> Readiness {
    Readiness(devices: 0, declined: 1, reason: reason, retrySeconds: retrySeconds)
  }
}

/// The resource check: compares what a task requires with what a node reports about itself.
package enum Admission {
  /// Why the node does not match; `nil` if it does. Resources and capabilities that it does not report do not count against it, except a
  /// trainer version; a missing label does.
  package static func mismatch(
    trainer: TrainerSelection, model: ModelSpecification, where selector: String?, requires: Requirements?, labels: [String: String],
    capabilities: Capabilities?, resources: Resources?
  ) -> String? {
    if let capabilities, case .none(let why) = choice(of: trainer, for: model, from: capabilities) { return why }
    if let selector {
      do {
        if let why = try LabelSelector(selector).mismatch(labels) { return why }
      } catch {
        return "the task's label selector is invalid: \(error)"
      }
    }
    guard let requires, let resources else { return nil }
    if let needed = requires.memoryMiB, let have = resources.memoryMiB, have < needed {
      return "memory: \(have) MiB available, the task needs \(needed) MiB"
    }
    if let needed = requires.diskMiB, let have = resources.diskMiB, have < needed {
      return "disk: \(have) MiB free, the task needs \(needed) MiB"
    }
    if let most = requires.maxLoad, let load = resources.load, load > most {
      return "load \(oneDecimal(load)) is above the task's limit of \(oneDecimal(most))"
    }
    if let least = requires.minBattery, let charge = resources.battery, charge < least, resources.mains != true {
      return "battery at \(charge) %, the task needs \(least) %"
    }
    if let needed = requires.cores, let have = resources.cores, have < needed { return "\(have) cores, the task needs \(needed)" }
    return nil
  }

  package static func mismatch(_ task: TaskDescriptor, _ node: NodeState) -> String? {
    mismatch(
      trainer: task.trainer, model: task.model, where: task.where, requires: task.requires, labels: node.labels ?? [:],
      capabilities: node.capabilities, resources: node.resources)
  }

  /// The trainer that a node would use for a task.
  package enum TrainerChoice: Hashable, Sendable {
    case trainer(String)
    /// No trainer fits, for this reason.
    case none(String)
  }

  /// The first of the task's alternatives that the node has, that knows the model and that is new enough. A fact that a trainer does not
  /// state about itself does not exclude it, except a version that the task asks for.
  package static func choice(
    of selection: TrainerSelection, for model: ModelSpecification, from capabilities: Capabilities
  ) -> TrainerChoice {
    var reason: String?
    for alternative in selection.any where capabilities.trainers.contains(alternative.name) {
      let name = alternative.name
      if let known = capabilities.models?[name], !known.contains(model.type), !(model.step.map { known.contains($0.capability) } ?? false) {
        reason =
          reason
          ?? (known.allSatisfy { $0.hasPrefix("step:") } && model.step == nil
            ? "trainer \"\(name)\" needs an exported training step, but the task has no model.step"
            : "trainer \"\(name)\" does not support the model \(model.type) (it supports: \(known.joined(separator: ", ")))")
      } else if let least = alternative.least, let version = capabilities.versions?[name], !alternative.admits(version) {
        reason = reason ?? "trainer \"\(name)\" has version \(version), the task needs \(least)"
      } else if let least = alternative.least, capabilities.versions?[name] == nil {
        reason = reason ?? "trainer \"\(name)\" does not report its version, the task needs \(least)"
      } else {
        return .trainer(name)
      }
    }
    let wanted = selection.any.count == 1 ? "no trainer" : "none of the trainers"
    let names = selection.names.map { "\"\($0)\"" }.joined(separator: ", ")
    return .none(reason ?? "has \(wanted) \(names) (it has: \(capabilities.trainers.sorted().joined(separator: ", ")))")
  }
}

func oneDecimal(_ value: Double) -> String {
  guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
  let tenths = Int64((value * 10).rounded())
  return "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
}
