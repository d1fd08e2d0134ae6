import MusterAggregation
import MusterCoordination
import MusterGround
import MusterParticipation
import MusterSchema
import MusterServer
import MusterStorage
import MusterTensors
import MusterTrainers

// Errors of a task before it is accepted, and the devices that match it.
extension Central {
  /// Reads a task as an operator sent it, in YAML or JSON.
  ///
  /// - Throws: `invalid-task` with every problem, and its position in the text.
  func read(_ body: TaskBody) throws(Problem) -> TaskSpecification {
    do {
      var specification = try body.specification()
      // Devices need to know the size before they fetch the step.
      if let step = specification.model.step { specification.model.step?.bytes = state.size(of: step.blob) ?? step.bytes }
      return specification
    } catch {
      throw refusal(error.problems)
    }
  }

  /// All errors of a task, including those that depend on central's configuration and on the task's first model.
  func problems(_ specification: TaskSpecification) async -> [FieldProblem] {
    var problems = problemsBesidesModel(specification)
    if case .blob(let digest) = specification.initial, let path = await state.file(of: digest) {
      // Off the cooperative pool, because the whole file is read.
      let problem = await offloadLong { () -> String? in
        do { return try SafetensorsFile(path: path).problemAsModel() } catch { return "\(error)" }
      }
      if let problem { problems.append(FieldProblem(field: "initial.blob", message: "\(digest) cannot be the first model: \(problem)")) }
    }
    return problems
  }

  private func problemsBesidesModel(_ specification: TaskSpecification) -> [FieldProblem] {
    var problems = specification.problems()
    let missing = members == nil ? "is not declared in central's configuration" : "is not a region of this fleet"
    for region in specification.regions where !regionIDs.contains(region) {
      let known = regionIDs.map(\.rawValue).joined(separator: ", ")
      problems.append(FieldProblem(field: "regions", message: "\(region) \(missing) (it has: \(known))"))
    }
    let capabilities = Capabilities(of: configuration.trainers)
    if case .none(let why) = Admission.choice(of: specification.trainer.unversioned, for: specification.model, from: capabilities) {
      problems.append(FieldProblem(field: "trainer", message: "central cannot initialize and evaluate with this trainer: \(why)"))
    }
    do {
      let strategy = try Strategy(specification.strategy, rules: configuration.rules, localRate: specification.local.rate)
      for problem in strategy.problems(minimumCohort: max(1, specification.cohort.minimum)) {
        problems.append(FieldProblem(field: "strategy", message: problem))
      }
      if specification.upload == .region, let why = strategy.whyNotDecomposable {
        problems.append(FieldProblem(field: "upload", message: "regions cannot aggregate for this strategy: \(why)"))
      }
    } catch {
      problems.append(FieldProblem(field: "strategy", message: "\(error)"))
    }
    if let stop = specification.stop, configuration.testData == nil, !specification.evaluate.devices {
      problems.append(
        FieldProblem(
          field: "stop.metric",
          message: "nothing would measure \(stop.metric): central has no testData, and evaluate.devices is false"))
    }
    if specification.shared != ["*"] {
      problems.append(FieldProblem(field: "shared", message: "only [\"*\"] (all layers) is supported"))
    }
    // Refreshing makes the blob count as new, so that no collection removes it before the task is in the journal.
    if let step = specification.model.step, !state.refresh(step.blob) {
      problems.append(
        FieldProblem(field: "model.step.blob", message: "central holds no blob \(step.blob): upload it first with POST /v1/blobs"))
    }
    if case .blob(let digest) = specification.initial, !state.refresh(digest) {
      problems.append(FieldProblem(field: "initial.blob", message: "central holds no blob \(digest): upload it first with POST /v1/blobs"))
    }
    do {
      _ = try descriptorBytes(specification)
    } catch {
      problems.append(FieldProblem(field: "", message: "the task's descriptor cannot be encoded: \(error)"))
    }
    return problems
  }

  /// Size of the task's descriptor in bytes, with the longest possible id, revision and state.
  private func descriptorBytes(_ specification: TaskSpecification) throws(MessageError) -> Int {
    let descriptor = TaskDescriptor(
      task: TaskID(unchecked: String(repeating: "x", count: 63)), specification: specification, revision: 999_999, state: .cancelled,
      central: configuration.server.data.advertise, secondsLeft: 31_536_000)
    return try MessageCoder.encode(descriptor).count
  }

  func check(_ body: TaskBody) async throws(Problem) -> TaskCheck {
    let specification = try read(body)
    let (nodes, unreachable) = await nodes()
    let descriptor = TaskDescriptor(
      task: TaskID(unchecked: "check"), specification: specification, revision: 1, state: .open,
      central: configuration.server.data.advertise)
    // A descriptor that is too large is reported among the problems, and has no size here.
    let descriptorBytes = try? descriptorBytes(specification)
    let regions = await shell.machine.nodes
    let concerned = Set(specification.regions.map(\.rawValue))
    var check = TaskCheck(
      problems: body.located(await problems(specification)), matching: [], others: [],
      unreachable: unreachable.filter { concerned.contains($0.node) }, descriptorBytes: descriptorBytes)
    for node in nodes {
      guard let region = node.path.nodes.first, specification.regions.contains(region) else { continue }
      if !node.state.online {
        check.others.append(Waiting(node: node.path.description, reason: "is offline"))
      } else if let why = Admission.mismatch(descriptor, node.state)
        ?? objection(node.state.policy, to: specification.upload == .central ? descriptor.central : regions[region]?.data)
      {
        check.others.append(Waiting(node: node.path.description, reason: why))
      } else {
        check.matching.append(node.path)
      }
    }
    return check
  }

  /// The reason why the device's owner would not take part in the task, according to the policy that the device publishes.
  private func objection(_ policy: DevicePolicy?, to upload: String?) -> String? {
    if let why = policy?.declines { return why }
    guard let upload, let hosts = policy?.uploadHosts else { return nil }
    return DevicePolicy.refusal(of: upload, allowing: hosts)
  }

  func refusal(_ problems: [FieldProblem]) -> Problem {
    Problem(
      .invalidTask, problems.map(\.description).joined(separator: "; "), problems: problems)
  }
}
