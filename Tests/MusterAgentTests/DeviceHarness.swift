import Logging
import MusterCoordination
import MusterMQTT
import MusterSchema
import MusterTensors
import MusterTrainers
import Synchronization
import TestSupport

@testable import MusterAgent

/// The stand-in's answers to every request except those for blobs.
struct Answers: Sendable {
  let answer: @Sendable (LittleServer.Request) -> LittleServer.Answer

  init(_ answer: @escaping @Sendable (LittleServer.Request) -> LittleServer.Answer) { self.answer = answer }

  static func always(_ status: Int, _ body: [UInt8] = []) -> Answers { Answers { _ in .init(status: status, body: body) } }
}

/// One agent with a real broker, a stand-in for its region's data plane, a shell script as trainer, and a test that plays the region.
final class Device: Sendable {
  static let region = NodeID(unchecked: "north")
  static let id = NodeID(unchecked: "pi-1")
  static let task = TaskID(unchecked: "digits")

  let broker: BrokerProcess
  let server: LittleServer
  let folder: TemporaryFolder
  let base: [UInt8]
  let region: MQTTConnection
  private let heard = Mutex<[MQTTMessage]>([])
  private let policy: String
  private let resident: Bool

  /// Plays the region around `body`. The agent itself is started with `withAgent`.
  static func with(
    trainer script: String = Device.copying, resident: Bool = false, policy: String = "{}", values: Int = 3, base own: [UInt8]? = nil,
    answering answers: Answers, _ body: @escaping @Sendable (Device) async throws -> Void
  ) async throws {
    let broker = try await BrokerProcess.started()
    let zeros = [UInt8](repeating: 0, count: values * 4)
    let base = try own ?? SafetensorsWriter.bytes([Tensor(name: "w", dtype: .f32, shape: [values], data: zeros)])
    let server = try LittleServer { request in
      if request.path.hasPrefix("/v1/blobs/") { return .init(status: 200, body: base) }
      return answers.answer(request)
    }
    defer { server.stop() }
    let folder = try TemporaryFolder()
    try folder.write(script, to: "train.sh")
    let configuration = MQTTConfiguration(host: "127.0.0.1", port: broker.port, clientID: "test-region")
    let everything = [MQTTSubscription("muster/v1/north/#")]
    try await MQTTClient.withConnection(configuration, subscriptions: everything, logger: quiet) { region in
      let device = Device(broker, server, folder, base, region, policy, resident)
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          for await event in region.events {
            if case .message(let message) = event { device.heard.withLock { $0.append(message) } }
          }
        }
        group.addTask { try await body(device) }
        defer { group.cancelAll() }
        // The body ends first, because the events continue until they are cancelled.
        try await group.next()
      }
    }
  }

  /// A trainer that copies the model, reports progress, and writes metrics.
  static let copying = """
    cp "$1/global.safetensors" "$1/update.safetensors"
    echo '{"progress":0.5,"loss":1.5}'
    echo '{"samples":7,"metrics":{"loss":0.25},"initialLoss":2}' > "$1/metrics.json"
    """

  static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  private init(
    _ broker: BrokerProcess, _ server: LittleServer, _ folder: TemporaryFolder, _ base: [UInt8], _ region: MQTTConnection, _ policy: String,
    _ resident: Bool
  ) {
    self.broker = broker
    self.server = server
    self.folder = folder
    self.base = base
    self.region = region
    self.policy = policy
    self.resident = resident
  }

  var configuration: AgentConfiguration {
    get throws {
      let json = """
        {"id":"pi-1","region":"north","state":"\(folder.file("state"))","broker":{"host":"127.0.0.1","port":\(broker.port)},
         "trainers":{"built-in":{"command":["/bin/sh","train.sh"],"resident":\(resident),"graceSeconds":0.2}},
         "policy":\(policy),"probe":{"seconds":0.2}}
        """
      return try AgentConfiguration.load(file: try folder.write(json, to: "agent.json"), flags: [:], environment: [:]).configuration
    }
  }

  /// Starts the agent as a process of its own, for tests that kill it.
  ///
  /// - Parameter launcher: a program that becomes the agent, with its arguments.
  func process(under launcher: [String] = [], environment: [String: String] = [:]) async throws -> ChildProcess {
    _ = try configuration
    let command = launcher + [try Executable.find("muster-agent"), "--config", folder.file("agent.json")]
    let process = try ChildProcess(
      command[0], Array(command.dropFirst()), log: folder.file("agent.log"), environment: environment)
    guard try await eventually({ self.node?.online == true }) else { throw TestSupportError("no agent: \(process.log)") }
    return process
  }

  /// Runs the agent around `body`, and stops it in order.
  func withAgent(logger: Logger = Device.quiet, _ body: @escaping @Sendable () async throws -> Void) async throws {
    let agent = Agent(try configuration, logger: logger)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await agent.run() }
      group.addTask {
        _ = try await eventually { self.node?.online == true }
        try await body()
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  // MARK: Messages of the region

  /// - Parameter data: the address of the region's models; `nil` means the stand-in's.
  func announce(session: String = "s1", data: String? = nil) throws {
    try say(
      .coordinatorState(Self.region),
      CoordinatorState(coordinator: Self.region, online: true, session: session, data: data ?? server.address), retained: true)
  }

  func describe(
    revision: Int = 1, state: TaskDescriptor.State = .open, trainer: TrainerSelection = "built-in",
    encoding: EncodingSpecification = .float32
  ) throws {
    let specification = TaskSpecification(
      name: "digits", model: ModelSpecification(type: "softmax", input: [1, 8, 8], classes: 10), trainer: trainer, rounds: 3,
      cohort: CohortSpecification(size: 1), encoding: encoding)
    let descriptor = TaskDescriptor(
      task: Self.task, specification: specification, revision: revision, state: state, central: server.address)
    try say(.task(coordinator: Self.region, task: Self.task), descriptor, retained: true)
  }

  func invite(round: Int = 1, phase: Phase = .train, attempt: Int = 1, to address: String? = nil) throws {
    let collection = phase == .train ? "updates" : "evaluations"
    try say(
      .invitation(coordinator: Self.region, node: Self.id, task: Self.task),
      Invitation(
        task: Self.task, revision: 1, key: RoundKey(round: round, phase: phase, attempt: attempt), quota: 1, minimum: 1,
        base: ModelReference(digest: Digest(of: base), bytes: base.count),
        upload: "\(address ?? server.address)/v1/tasks/digits/rounds/\(round)/\(collection)/north/pi-1", ticket: Ticket("secret-ticket"),
        seed: 42,
        secondsLeft: 30, startWithin: 0), retained: false)
  }

  func say(_ topic: Topic, _ message: some Message, retained: Bool) throws {
    region.publish(topic: "\(topic)", payload: try MessageCoder.encode(message), quality: .atLeastOnce, retained: retained)
  }

  /// Publishes everything that an invitation requires, and waits for the answer before it.
  func prepare(data: String? = nil, encoding: EncodingSpecification = .float32) async throws {
    try announce(data: data)
    try describe(encoding: encoding)
    _ = try await eventually { self.states.last == .ready }
  }

  // MARK: Messages of the agent

  var node: NodeState? {
    last(.nodeState(coordinator: Self.region, node: Self.id)).flatMap { try? MessageCoder.decode(NodeState.self, from: $0.payload) }
  }

  var statuses: [NodeStatus] {
    let topic = "\(Topic.nodeStatus(coordinator: Self.region, node: Self.id, task: Self.task))"
    return heard.withLock(\.self).filter { $0.topic == topic }.compactMap { try? MessageCoder.decode(NodeStatus.self, from: $0.payload) }
  }

  var states: [NodeStatus.State] { statuses.map(\.state) }

  func uploads(_ collection: String = "updates") -> [LittleServer.Request] {
    server.requests.filter { $0.method == "PUT" && $0.path.contains("/\(collection)/") }
  }

  private func last(_ topic: Topic) -> MQTTMessage? { heard.withLock { $0.last { $0.topic == "\(topic)" } } }
}
