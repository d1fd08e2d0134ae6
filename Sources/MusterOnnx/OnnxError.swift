/// Why a training step cannot be run here.
package enum OnnxError: Error, Hashable, Sendable, CustomStringConvertible {
  /// No libonnxruntime: where it was looked for, and why not.
  case noLibrary(String)
  /// ONNX Runtime's own words.
  case runtime(String)
  /// The file is no training step, or one that this program cannot run.
  case step(String)
  /// The step does not do what the task asks for.
  case task(String)
  /// The loss is not finite.
  case diverged(epoch: Int, rate: Double)

  package var description: String {
    switch self {
    case .noLibrary(let why):
      "there is no ONNX Runtime (\(why)): install libonnxruntime.so, and name it with --library or MUSTER_ONNXRUNTIME"
    case .runtime(let why): "ONNX Runtime: \(why)"
    case .step(let why): "step.onnx: \(why)"
    case .task(let why): "the training step does not fit the task: \(why)"
    case .diverged(let epoch, let rate): "the loss is not finite in epoch \(epoch): lower the rate of \(rate)"
    }
  }
}
