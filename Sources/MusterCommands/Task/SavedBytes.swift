import MusterSchema

/// The savings of a task's encoding: the bytes that were sent, and the bytes that float32 would have taken.
struct SavedBytes: Hashable, Sendable {
  var encoding: String
  /// Bytes of the devices' updates in completed rounds.
  var updates: Int
  var plainUpdates: Int
  /// The size in bytes of one model as devices download it.
  var model: Int
  var plainModel: Int

  /// - Parameter traffic: the traffic of the coordinators' links. If regions aggregate, it shows how much their devices sent.
  /// - Returns: `nil` for float32, and before there is a model.
  init?(_ picture: TaskPicture, _ traffic: [LinkTraffic]) {
    let (task, detail) = (picture.detail.specification, picture.detail)
    guard task.encoding != .float32, let model = detail.models.last else { return nil }
    encoding = task.encoding.fraction.map { "\(task.encoding.name) \(Words.number($0 * 100, digits: 1)) %" } ?? task.encoding.name
    let rounds = picture.rounds.map(\.updates)
    switch task.upload {
    case .central: updates = rounds.map(\.bytes).saturatingSum()
    // The bytes that devices sent to their regions are only known for all rounds together.
    case .region where picture.detail.roundsEnded > picture.rounds.count: return nil
    case .region: updates = traffic.filter { $0.coordinator != .central }.map(\.traffic.received).saturatingSum()
    }
    let (product, isTooLarge) = rounds.map(\.devices).saturatingSum().multipliedReportingOverflow(by: model.bytes)
    plainUpdates = isTooLarge ? .max : product
    plainModel = model.bytes
    self.model = model.distributed.bytes
  }

  var words: String {
    let models = model < plainModel ? "models of \(Words.bytes(model)) instead of \(Words.bytes(plainModel))" : ""
    let sent =
      updates > 0 && updates < plainUpdates
      ? "updates took \(Words.bytes(updates)) instead of \(Words.bytes(plainUpdates)): \(Words.bytes(plainUpdates - updates)) saved" : ""
    return "\(encoding)  " + [sent, models].filter { !$0.isEmpty }.joined(separator: "; ")
  }
}
