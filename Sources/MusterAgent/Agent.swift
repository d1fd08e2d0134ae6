package import Logging
import MusterEnrolment
import MusterGround
import MusterIdentity
import MusterMQTT
import MusterParticipation
import MusterSchema
import MusterTrainers

/// The agent of one device: its connection, its shell and its worker.
package struct Agent: Sendable {
  private let configuration: AgentConfiguration
  private let launcher: [String]
  private let logger: Logger

  /// - Parameter launcher: the command that starts a trainer under its limits, see `TrainerRunner`. If empty, they start without.
  package init(_ configuration: AgentConfiguration, launcher: [String] = [], logger: Logger) {
    self.configuration = configuration
    self.launcher = launcher
    self.logger = logger
  }

  /// Runs until the task is cancelled. Then it stops the trainer, publishes that the device is offline, and closes the connection in order.
  ///
  /// - Throws: `AgentError` for a state folder that cannot be used, `MQTTError` for a broker configuration that cannot work.
  package func run() async throws {
    let started = ContinuousClock.now
    let (folders, journal, lock) = try openState()
    defer { withExtendedLifetime(lock) {} }
    let presence = Presence(id: configuration.id, region: configuration.region, logger: logger)
    let shell = AgentShell(configuration, journal: journal, presence: presence, folders: folders, logger: logger)
    folders.removeOrphans(except: await shell.jobs)
    for (name, program) in configuration.trainers.sorted(by: { $0.key < $1.key }) {
      if let why = program.whyNotFound {
        logger.warning("the trainer \"\(name)\" cannot be started, so its jobs will fail: \(why)", metadata: ["trainer": "\(name)"])
      }
    }
    let worker = JobWorker(configuration, launcher: launcher, shell: shell, logger: logger)
    let filters = Topic.participantFilters(configuration.region, node: configuration.id).map { MQTTSubscription($0) }
    try await MQTTClient.withConnection(mqtt, subscriptions: filters, logger: logger, will: presence.will) { connection in
      presence.attach(connection)
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await follow(connection, shell, presence, started) }
        group.addTask {
          while !Task.isCancelled {
            await shell.alarm.wait()
            if !Task.isCancelled { await shell.wake() }
          }
        }
        group.addTask {
          while !Task.isCancelled {
            await shell.secureDue.wait()
            if !Task.isCancelled { await shell.secure() }
          }
        }
        group.addTask { await worker.run() }
        group.addTask { await worker.watchList() }
        if let enrolled = configuration.identity {
          group.addTask { await CertificateRenewal(enrolled.folder, central: enrolled.identity.member.central, logger: logger).run() }
        }
        await group.waitForAll()
      }
      await shell.farewell()
      if !(await connection.flush(timeout: .seconds(2))) { logger.notice("the broker did not acknowledge the offline message in time") }
    }
    logger.info("muster-agent has stopped", metadata: ["node.id": "\(configuration.id)"])
  }

  private func openState() throws -> (JobFolders, Journal, FileLock) {
    do {
      let foreign = configuration.trainers.values.contains { $0.user != nil }
      try Files.makeFolder(configuration.state, mode: foreign ? 0o711 : 0o700)
      guard let lock = try FileLock.take("\(configuration.state)/lock") else {
        throw AgentError.state("\(configuration.state) is in use by another muster-agent")
      }
      let folders = try JobFolders(root: configuration.state, keepingFailed: configuration.keepFailed, forOthers: foreign)
      let (journal, warning) = try Journal.open("\(configuration.state)/journal.json")
      if let warning { logger.warning("\(warning)") }
      return (folders, journal, lock)
    } catch let error as FileError {
      throw AgentError.state("\(error)")
    }
  }

  private var mqtt: MQTTConfiguration {
    // The random suffix keeps two agents with the same identity apart. With equal client ids the broker would let each disconnect the
    // other, and neither could report what is wrong.
    let suffix = String(UInt32.random(in: .min ... .max), radix: 36)
    var mqtt = MQTTConfiguration(
      host: configuration.broker.host, port: configuration.broker.port,
      clientID: "muster-\(configuration.region)-\(configuration.id)-\(suffix)")
    mqtt.username = configuration.broker.username
    mqtt.password = configuration.broker.password
    mqtt.authorityFile = configuration.broker.authorityFile
    if let folder = configuration.identity?.folder {
      mqtt.authorityFile = folder.authorityFile
      mqtt.certificateFile = folder.certificateFile
      mqtt.keyFile = folder.keyFile
    }
    mqtt.keepAlive = .seconds(configuration.broker.keepAlive)
    mqtt.reconnect = .agent
    mqtt.outboxLimit = 256 << 10
    mqtt.inboxLimit = 1 << 20
    return mqtt
  }

  private func follow(
    _ connection: MQTTConnection, _ shell: AgentShell, _ presence: Presence, _ started: ContinuousClock.Instant
  ) async {
    var isFirst = true
    var lastError: MQTTError?
    for await event in connection.events {
      switch event {
      case .connected(let number):
        await shell.connected(number)
        let milliseconds = started.duration(to: .now) / .milliseconds(1)
        logger.info(
          isFirst ? "muster-agent is ready" : "connected again",
          metadata: [
            "node.id": "\(configuration.id)", "region": "\(configuration.region)",
            "broker": "\(mqtt.address)", "after.ms": "\(Int(milliseconds))",
            // Another device with the same identity logs this session.
            "session": "\(presence.session)",
          ])
        isFirst = false
        lastError = nil
      case .disconnected(let error):
        // A repeated error is not logged again.
        if error != lastError { logger.warning("\(error)") }
        lastError = error
      case .message(let message): await shell.received(message)
      }
    }
  }
}
