/// Why a model, a data set or a training run fails.
package enum ModelError: Error, Hashable, CustomStringConvertible {
  /// The model cannot be built as specified.
  case architecture(String)
  /// The parameters do not fit the model.
  case parameters(String)
  /// A data set cannot be used: its file and the reason.
  case data(file: String, String)
  /// The data partition does not fit the data, or its settings are invalid.
  case partition(String)
  /// Hyperparameters are out of range.
  case settings(String)
  /// The loss or a parameter is no longer finite. `epoch` counts from 1.
  case diverged(epoch: Int, rate: Double)

  package var description: String {
    switch self {
    case .architecture(let why): "the model cannot be built: \(why)"
    case .parameters(let why): "the parameters do not fit the model: \(why)"
    case .data(let file, let why): "\(file): \(why)"
    case .partition(let why): "the data partition cannot be made: \(why)"
    case .settings(let why): "the training settings are wrong: \(why)"
    case .diverged(let epoch, let rate):
      "the training diverged in epoch \(epoch), because the loss or a parameter is not finite: lower the rate (now \(rate))"
    }
  }
}
