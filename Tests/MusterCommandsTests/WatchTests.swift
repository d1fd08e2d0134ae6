import MusterSchema
import Testing

@testable import MusterCommands

@Suite("Watching")
struct WatchTests {
  private static let task = TaskID(unchecked: "digits-a")

  private func detail(_ step: RoundState.Step, round: Int, have: Int = 0, closed: [Double] = [], why: String = "waits for north")
    -> TaskDetail
  {
    let specification = TaskSpecification(
      name: "digits", model: ModelSpecification(type: "lenet5"), regions: [NodeID(unchecked: "north"), NodeID(unchecked: "south")],
      rounds: 4, cohort: CohortSpecification(size: 8))
    let records = closed.enumerated().map { index, accuracy in
      RoundRecord(
        round: index + 1, attempts: 1, base: Digest(of: [1]), result: Digest(of: [2]), strategy: .named("fedavg"), updates: [],
        evaluations: [], missed: [], metrics: ["accuracy": accuracy, "loss": 1 - accuracy], deviceMetrics: nil, seconds: 2)
    }
    let now = RoundState(
      task: Self.task, step: step, round: round, rounds: 4, attempt: 1, counts: [:], needed: 8, have: have, closesInSeconds: 40, why: why,
      waiting: [], more: 0, metrics: closed.last.map { ["accuracy": $0] })
    let summary = TaskSummary(
      task: Self.task, name: "digits", step: step, round: round, rounds: 4, attempt: 1, regions: specification.regions,
      metrics: now.metrics,
      why: why)
    return TaskDetail(
      summary: summary, revision: 1, specification: specification, now: now, rounds: records, roundsEnded: records.count, models: [])
  }

  @Test("piped, each change is one line and a countdown is none")
  func lines() {
    var watch = WatchLines()
    #expect(watch.lines(TaskPicture(detail(.training, round: 1))) == ["round 1/4  training  0/8  waits for north"])
    #expect(watch.lines(TaskPicture(detail(.training, round: 1))) == [])
    #expect(watch.lines(TaskPicture(detail(.training, round: 1, why: "waits, 3 s later"))) == [])
    #expect(watch.lines(TaskPicture(detail(.training, round: 1, have: 5))) == ["round 1/4  training  5/8  waits for north"])
    #expect(
      watch.lines(TaskPicture(detail(.training, round: 3, closed: [0.5, 0.75]))) == [
        "round 1/4  closed  0 updates  2 s  loss 0.5000  accuracy 0.5000",
        "round 2/4  closed  0 updates  2 s  loss 0.2500  accuracy 0.7500",
        "round 3/4  training  0/8  waits for north",
      ])
    #expect(
      watch.lines(TaskPicture(detail(.cancelled, round: 3, closed: [0.5, 0.75], why: "cancelled: by an operator")))
        == ["cancelled  accuracy 0.7500  by an operator"])
  }

  @Test("events of rounds are added once, and what was said before a round ended is no line after it")
  func events() throws {
    var picture = TaskPicture(detail(.training, round: 1))
    let two = TaskPicture(detail(.training, round: 3, closed: [0.5, 0.75])).rounds
    func event(_ summary: RoundSummary) -> TaskEvent {
      TaskEvent(number: 1, task: picture.detail.now.task, kind: .round, at: nil, details: .init(round: summary.round, summary: summary))
    }
    let opened = TaskEvent(number: 1, task: picture.detail.now.task, kind: .opened, at: nil, details: .init(round: 1))
    let changes = [opened, event(two[0]), event(two[0]), event(two[1]), event(two[0])].map { picture.add($0) }
    #expect(changes == [false, true, false, true, false])
    #expect(picture.rounds == two && picture.detail.roundsEnded == 2)
    var watch = WatchLines()
    picture.detail.now = detail(.evaluating, round: 2).now
    #expect(watch.lines(picture).map { $0.prefix(17) } == ["round 1/4  closed", "round 2/4  closed"])
    picture.detail.now = detail(.training, round: 3).now
    #expect(watch.lines(picture) == ["round 3/4  training  0/8  waits for north"])
  }

  @Test("rounds that are not among the last that were asked for are counted, and each is told of once")
  func lastRounds() {
    var watch = WatchLines()
    var later = detail(.training, round: 3, closed: [0.5, 0.75])
    later.rounds.removeFirst()
    let lines = watch.lines(TaskPicture(later))
    #expect(lines == ["round 2/4  closed  0 updates  2 s  loss 0.2500  accuracy 0.7500", "round 3/4  training  0/8  waits for north"])
    #expect(watch.lines(TaskPicture(later)).isEmpty)
    #expect(WatchView(picture: TaskPicture(later), nodes: []).lines(width: 60, ink: .none)[1] == "█████░░░░░  round 3/4  training")
  }

  @Test("on a terminal, the picture shows rounds, metrics, devices and what it waits for")
  func view() {
    let node = NodeSummary(
      path: NodePath(NodeID(unchecked: "north"), NodeID(unchecked: "pi-1")),
      state: NodeState(node: NodeID(unchecked: "pi-1"), online: true, session: "s"),
      tasks: [NodeStatus(node: NodeID(unchecked: "pi-1"), task: Self.task, state: .training, round: 3, progress: 0.4)])
    let lines = WatchView(picture: TaskPicture(detail(.training, round: 3, have: 2, closed: [0.5, 0.75])), nodes: [node]).lines(
      width: 60, ink: .none)
    #expect(
      lines == [
        "digits-a  lenet5, north + south", "█████░░░░░  round 3/4  training", "2 of 8 contributions  closes in 40 s",
        "loss      0.2500  █▁", "accuracy  0.7500  ▁█", "  north/pi-1  training  round 3  40 %", "waits for north",
      ])
  }

  @Test("what it waits for is read to its end, however narrow the terminal")
  func longReason() {
    let why = "round 1 waits for 1 of 8 updates: north/pi-1 (trainer failed with exit status 1: No module named 'torch')"
    let lines = WatchView(picture: TaskPicture(detail(.training, round: 1, why: why)), nodes: []).lines(width: 40, ink: .none)
    #expect(
      lines.suffix(3) == [
        "round 1 waits for 1 of 8 updates:", "north/pi-1 (trainer failed with exit", "status 1: No module named 'torch')",
      ])
    let endless = WatchView(picture: TaskPicture(detail(.training, round: 1, why: String(repeating: "reason ", count: 100))), nodes: [])
    #expect(
      endless.lines(width: 40, ink: .none).suffix(2) == [
        "reason reason reason reason reason", "… (muster why digits-a shows everything)",
      ])
  }

  @Test("while recruiting, it says how many are ready and how many are needed")
  func recruiting() {
    let now = detail(.recruiting, round: 1, have: 4, why: "round 1 waits for devices: 4 ready, 8 needed")
    var watch = WatchLines()
    #expect(watch.lines(TaskPicture(now)) == ["round 1/4  recruiting  round 1 waits for devices: 4 ready, 8 needed"])
    #expect(WatchView(picture: TaskPicture(now), nodes: []).lines(width: 60, ink: .none)[2] == "4 ready, 8 needed  closes in 40 s")
  }

  @Test("a fleet too large for the screen is cut, and says so")
  func manyDevices() {
    let nodes = (1...20).map { index in
      let id = NodeID(unchecked: "pi-\(index)")
      return NodeSummary(
        path: NodePath(NodeID(unchecked: "north"), id), state: NodeState(node: id, online: false, session: "s"),
        tasks: [NodeStatus(node: id, task: Self.task, state: .ready)])
    }
    let lines = WatchView(picture: TaskPicture(detail(.training, round: 1)), nodes: nodes, maximumDevices: 3).lines(width: 80, ink: .none)
    #expect(lines.contains("  and 17 more") && lines.contains("  north/pi-3   offline") && !lines.contains { $0.contains("pi-4 ") })
  }

  @Test("tables, watch and sparklines show what the task reports, its own metric first, whoever measured it")
  func anyMetric() {
    func task(_ central: [[String: Double]?], _ devices: [[String: Double]?], metric: String?) -> TaskDetail {
      var detail = detail(.training, round: 3)
      detail.summary.metric = metric
      detail.summary.metrics = central.last ?? nil ?? devices.last ?? nil
      for index in central.indices {
        let digest = Digest(of: [UInt8(index)])
        detail.rounds.append(
          RoundRecord(
            round: index + 1, attempts: 1, base: digest, result: digest, strategy: .named("fedavg"), updates: [], evaluations: [],
            missed: [], metrics: central[index], deviceMetrics: devices[index], seconds: 2))
        detail.models.append(
          ModelCheckpoint(
            round: index + 1, digest: digest, bytes: 1024, metrics: central[index], deviceMetrics: devices[index], kept: true))
      }
      detail.roundsEnded = detail.rounds.count
      return detail
    }
    let mse = [["mse": 0.5, "r2": 0.1], ["mse": 0.000_012_34, "r2": 0.9]]
    let alone = task([nil, [:]], mse, metric: "mse")
    #expect(
      Table.rounds(TaskPicture(alone)).lines().map { $0.split(separator: " ").joined(separator: " ") } == [
        "ROUND UPDATES SAMPLES MSE R2 SECONDS ATTEMPTS MISSED", "1 0 0 0.5000 0.1000 2.0 1", "2 0 0 1.23e-5 0.9000 2.0 1",
      ])
    #expect(Table.models(alone.models, metric: "mse").lines()[0].contains("MSE") && Table.models([]).columns.count == 4)
    let lines = WatchView(picture: TaskPicture(alone), nodes: []).lines(width: 80, ink: .none)
    #expect(lines.contains("mse       1.23e-5  █▁") && lines.contains("r2        0.9000  ▁█"))
    var watch = WatchLines()
    #expect(watch.lines(TaskPicture(alone))[1] == "round 2/4  closed  0 updates  2 s  mse 1.23e-5  r2 0.9000")
    let both = task(mse, [["mse": 0.7], ["mse": 0.6]], metric: "mse")
    #expect(Table.rounds(TaskPicture(both)).lines()[1].split(separator: " ").contains("0.7000"))
    #expect(both.summary.row[3] == "mse 1.23e-5, r2 0.9000")
    let many = task([Dictionary(uniqueKeysWithValues: (0..<30).map { ("m\($0)", 1.0) })], [nil], metric: "m7")
    #expect(
      Table.rounds(TaskPicture(many)).columns.map(\.title) == [
        "ROUND", "UPDATES", "SAMPLES", "M7", "M0", "M1", "M10", "SECONDS", "ATTEMPTS", "MISSED",
      ])
  }

  @Test("the best model is the one that the task's own stop metric prefers")
  func best() throws {
    func model(_ round: Int, _ metrics: [String: Double]?, kept: Bool = true) -> ModelCheckpoint {
      ModelCheckpoint(round: round, digest: Digest(of: [UInt8(round)]), bytes: 1, metrics: metrics, kept: kept)
    }
    let models = [
      model(0, nil), model(1, ["accuracy": 0.9, "loss": 0.3]), model(2, ["accuracy": 0.8, "loss": 0.2]), model(3, nil, kept: false),
    ]
    func pick(_ text: String, stop: StopSpecification? = nil) throws -> Int {
      try ModelChoice(parsing: text).pick(from: models, stop: stop, task: Self.task).round
    }
    #expect(try pick("best") == 1)
    #expect(try pick("best", stop: StopSpecification(metric: "loss", at: 0.1)) == 2)
    #expect(try pick("0") == 0)
    for text in ["3", "last", "9"] {
      #expect { try pick(text) } throws: { ($0 as? CommandError)?.exit == .refused }
    }
  }
}
