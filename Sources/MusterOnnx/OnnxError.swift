/// Why a training step cannot be run on this machine.
package enum OnnxError: Error, Hashable, Sendable, CustomStringConvertible {
  /// libonnxruntime cannot be opened: where it was looked for, and why that failed.
  case noLibrary(String)
  /// An error message of ONNX Runtime.
  case runtime(String)
  /// The file is not a training step, or not one that this program can run.
  case step(String)
  /// The step cannot do this task.
  case task(String)
  /// The loss is not finite. `epoch` counts from 1.
  case diverged(epoch: Int, rate: Double)

  package var description: String {
    switch self {
    case .noLibrary(let why):
      "ONNX Runtime cannot be loaded (\(why)): install libonnxruntime.so, or give its path with --library or MUSTER_ONNXRUNTIME"
    case .runtime(let why): "ONNX Runtime: \(why)"
    case .step(let why): "step.onnx: \(why)"
    case .task(let why): "the training step does not fit the task: \(why)"
    case .diverged(let epoch, let rate): "the loss is not finite in epoch \(epoch): lower the rate (now \(rate))"
    }
  }
}
