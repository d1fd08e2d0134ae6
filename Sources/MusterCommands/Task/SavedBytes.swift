import MusterSchema

/// What a task's encoding spares its links: what was sent, and what float32 would have been.
struct SavedBytes: Hashable, Sendable {
  var encoding: String
  /// Devices' updates, of the rounds that are over.
  var updates: Int
  var plainUpdates: Int
  /// One model as devices download it.
  var model: Int
  var plainModel: Int

  /// - Parameter traffic: what crossed the coordinators' links; where regions aggregate, it tells what their devices sent.
  /// - Returns: nil for float32, and before there is a model.
  init?(_ picture: TaskPicture, _ traffic: [LinkTraffic]) {
    let (task, detail) = (picture.detail.specification, picture.detail)
    guard task.encoding != .float32, let model = detail.models.last else { return nil }
    encoding = task.encoding.fraction.map { "\(task.encoding.name) \(Words.number($0 * 100, digits: 1)) %" } ?? task.encoding.name
    let rounds = picture.rounds.map(\.updates)
    switch task.upload {
    case .central: updates = rounds.map(\.bytes).saturatingSum()
    // What devices sent their regions is known of all rounds together.
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
