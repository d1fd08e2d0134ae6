/// Why a model, a data set or a training run does not work.
package enum ModelError: Error, Hashable, CustomStringConvertible {
  /// The model cannot be built as asked.
  case architecture(String)
  /// Parameters that do not fit the model.
  case parameters(String)
  /// A data set that cannot be used: its file and why.
  case data(file: String, String)
  /// A partition that asks for what is not there.
  case partition(String)
  /// Hyperparameters that make no sense.
  case settings(String)
  /// The loss or a parameter stopped being a finite number.
  case diverged(epoch: Int, rate: Double)

  package var description: String {
    switch self {
    case .architecture(let why): "the model cannot be built: \(why)"
    case .parameters(let why): "the parameters do not fit the model: \(why)"
    case .data(let file, let why): "\(file): \(why)"
    case .partition(let why): "the data partition cannot be made: \(why)"
    case .settings(let why): "the training settings are wrong: \(why)"
    case .diverged(let epoch, let rate):
      "the training diverged in epoch \(epoch), the loss or a parameter is not finite: lower the rate (now \(rate))"
    }
  }
}
