import MusterLoad
import MusterSchema

/// The settings of a load.
struct LoadSettings: Hashable, Sendable {
  var devices: Int
  var rounds: Int
  var upload: UploadTarget
  /// The number of devices that a round asks for.
  var cohort: Int
  /// The deadline of a round in seconds.
  var seconds: Double
  /// The number of HTTP requests at a time.
  var transfers: Int
  /// Whether devices evaluate each round's model.
  var evaluates: Bool
  /// Whether devices spread their start, as invitations ask.
  var spreads: Bool

  /// A task that only needs coordination: a small model, no training, and no evaluation by central.
  func task(_ regions: [NodeID]) -> TaskSpecification {
    TaskSpecification(
      name: "load", model: ModelSpecification(type: "lenet5", input: [1, 8, 8], classes: 10), regions: regions, rounds: rounds,
      // A round that loses a few devices still closes, and its record shows the loss.
      cohort: CohortSpecification(size: cohort, minimum: max(1, cohort * 9 / 10), seconds: seconds),
      local: LocalTraining(epochs: 0), evaluate: EvaluationSpecification(every: evaluates ? 1 : 0, devices: evaluates, seconds: seconds),
      upload: upload, keep: KeepSpecification(updates: 1, checkpoints: 1), validSeconds: 7 * 86_400)
  }

  /// The paths of the devices, such as `north/pi-1`, spread evenly over the regions.
  func paths(_ regions: [NodeID]) -> [NodePath] {
    let shares = DemoPlan.share(devices, among: regions.count)
    return zip(regions, shares).flatMap { region, count in DemoPlan.deviceNames(count).map { NodePath(region, $0) } }
  }
}
