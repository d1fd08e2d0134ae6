internal import FoundationEssentials
internal import Glibc
internal import MusterSchema
internal import MusterTensors

/// The result of a job that ended well, checked.
func readResult(of kind: TrainerJobDescription.Kind, in folder: JobFolder, log: [String]) throws(TrainerError) -> TrainerMetrics {
  guard access(folder.metrics, F_OK) == 0 else { throw .noResult(file: "metrics.json", log: log) }
  let result: TrainerMetrics
  do {
    result = try JSON.decode(TrainerMetrics.self, from: try readFile(folder.metrics, limit: 1 << 20))
  } catch {
    throw .malformed("metrics.json: \(JSON.explain(error))", log: log)
  }
  if let problem = result.problem(for: kind) { throw .nonFinite(problem, log: log) }
  if let file = folder.result(of: kind) {
    var status = stat()
    guard stat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .noResult(file: String(file.split(separator: "/").last ?? ""), log: log)
    }
    let wrong: String?
    do { wrong = try SafetensorsFile(path: file).nonFiniteTensor() } catch { throw .malformed("\(error)", log: log) }
    if let wrong { throw .nonFinite("tensor \(wrong.withoutControlCharacters)", log: log) }
  }
  return result
}
