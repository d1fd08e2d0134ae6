internal import FoundationEssentials
internal import Glibc
internal import MusterSchema
internal import MusterTensors

/// What a global model consists of.
func readSchema(_ model: String) throws(TrainerError) -> TensorSchema {
  do { return try SafetensorsFile(path: model).schema } catch { throw .jobFolder("\(error)") }
}

/// The result of a job that ended well, checked: a trainer may leave anything.
///
/// - Parameter base: of the global model, whose tensors an update must have.
func readResult(
  of kind: TrainerJobDescription.Kind, in folder: JobFolder, base: TensorSchema?, log: [String]
) throws(TrainerError) -> TrainerMetrics {
  try checkFile(folder.metrics, log)
  let result: TrainerMetrics
  do {
    let bytes = try readFile(folder.metrics, limit: 1 << 20)
    do {
      result = try JSON.decode(TrainerMetrics.self, from: bytes)
    } catch {
      // Python writes NaN and Infinity, which are not JSON: which number it is helps more than the place where reading ended.
      guard let place = JSON.nonFiniteNumber(in: bytes) else { throw error }
      let metric = place.hasPrefix("metrics.") ? "the metric \(place.dropFirst(8))" : place
      throw TrainerError.nonFinite("\(metric) is not a finite number", log: log)
    }
  } catch let error as TrainerError {
    throw error
  } catch {
    throw .malformed("metrics.json: \(JSON.explain(error))", log: log)
  }
  if let problem = result.problem(for: kind) { throw .nonFinite(problem, log: log) }
  guard let path = folder.result(of: kind) else { return result }
  try checkFile(path, log)
  let file: SafetensorsFile
  do { file = try SafetensorsFile(path: path) } catch { throw .malformed("\(error)", log: log) }
  if let base, let difference = file.schema.difference(from: base, anyFloatingPoint: true) {
    throw .malformed("\(name(path)): \(difference.withoutControlCharacters)", log: log)
  }
  if let wrong = file.nonFiniteTensor() { throw .nonFinite("tensor \(wrong.withoutControlCharacters) is not finite", log: log) }
  // As a model that an operator brings is checked.
  if kind == .initialize, let problem = file.problemAsModel() { throw .malformed("\(name(path)): \(problem)", log: log) }
  return result
}

/// A plain file of the folder, nothing that leads elsewhere: what it holds will be sent to a server.
private func checkFile(_ path: String, _ log: [String]) throws(TrainerError) {
  var status = stat()
  guard lstat(path, &status) == 0 else { throw .noResult(file: name(path), log: log) }
  switch status.st_mode & S_IFMT {
  case S_IFREG: return
  case S_IFLNK: throw .malformed("\(name(path)) is a link, it must be a file", log: log)
  default: throw .malformed("\(name(path)) is no file", log: log)
  }
}

private func name(_ path: String) -> String { path.split(separator: "/").last.map { String($0) } ?? path }
