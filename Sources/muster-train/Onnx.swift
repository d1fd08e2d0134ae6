internal import ArgumentParser
internal import FoundationEssentials
internal import MusterOnnx

/// `muster-train onnx …`
struct Onnx: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "onnx", abstract: "Any model that comes with an exported ONNX training step (model.step), run by ONNX Runtime.")

  @Option(
    help: ArgumentHelp(
      "The path of ONNX Runtime's library (default: MUSTER_ONNXRUNTIME, otherwise the system's libonnxruntime.so).",
      valueName: "libonnxruntime.so")
  )
  var library: String?
  @Option(help: "The number of threads for one step (default: OMP_NUM_THREADS, otherwise 1).")
  var threads: Int?
  @OptionGroup var job: JobOptions

  func validate() throws {
    guard (threads ?? 1) >= 1 else { throw ValidationError("--threads must be at least 1.") }
  }

  func run() throws {
    let environment = ProcessInfo.processInfo.environment
    let library = library ?? environment["MUSTER_ONNXRUNTIME"]
    let threads = threads ?? environment["OMP_NUM_THREADS"].flatMap { Int($0) } ?? 1
    let trainer = OnnxTrainer(libraries: library.map { [$0] } ?? OnnxTrainer.libraries, threads: threads)
    try job.run { job in try trainer.perform(job) }
  }
}
