import FoundationEssentials
import Glibc
import MusterGround
import MusterSchema
import TestSupport
import Testing

@testable import MusterAgent

/// Tests that a trainer and its children end when the agent can no longer end them.
@Suite(.timeLimit(.minutes(1))) struct OrphanTests {
  enum Trainer: String, CaseIterable { case oneShot, residentAtWork, residentIdle }

  /// Starts a process in the trainer's group and one in another session, and records that they run.
  private static let family = "sleep 1000 &\n setsid sleep 1000 &\n echo > family"

  private static func script(_ trainer: Trainer) -> String {
    switch trainer {
    case .oneShot: "\(family)\n trap '' TERM\n while :; do sleep 1000; done"
    case .residentAtWork: "read -r line\n \(family)\n trap '' TERM\n while :; do sleep 1000; done"
    case .residentIdle:
      """
      while read -r line; do
        job="${line#*:\\"}"; set -- "${job%\\"*}"
        \(Device.copying)
        \(family)
        echo "{\\"done\\":\\"$1\\",\\"exit\\":0}"
      done
      trap '' TERM
      while :; do sleep 1000; done
      """
    }
  }

  /// The processes of an agent's trainers and all of their descendants, which have the same variable. A zombie has no environment any more.
  private func left(by agent: Int32) -> [Int32] {
    let mark = Array("MUSTER_TRAINER=\(agent).".utf8)
    return Files.names(in: "/proc").compactMap { Int32($0) }.filter { pid in
      guard let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") else { return false }
      return environment.split(separator: 0).contains { $0.starts(with: mark) }
    }
  }

  /// Runs an agent whose trainer has started other processes.
  private func withFamily(of trainer: Trainer, _ body: @escaping @Sendable (ChildProcess) async throws -> Void) async throws {
    try await Device.with(trainer: Self.script(trainer), resident: trainer != .oneShot, answering: .always(201)) { device in
      let agent = try await device.process()
      try await device.prepare()
      try device.invite()
      #expect(try await eventually { Files.exists(device.folder.file("family")) })
      if trainer == .residentIdle { #expect(try await eventually { device.states.last == .done }) }
      try await body(agent)
    }
  }

  @Test("No process of a trainer outlives an agent that is killed", arguments: Trainer.allCases)
  func killed(trainer: Trainer) async throws {
    try await withFamily(of: trainer) { (agent) async throws in
      // The trainer, the two processes that it started, and their guard.
      #expect(left(by: agent.pid).count >= 4)
      agent.signal(SIGKILL)
      #expect(try await agent.wait() == 128 + SIGKILL)
      #expect(try await eventually(within: .seconds(5)) { left(by: agent.pid).isEmpty }, "\(left(by: agent.pid))")
    }
  }

  @Test("Nor one that is stopped in order", arguments: Trainer.allCases)
  func stopped(trainer: Trainer) async throws {
    try await withFamily(of: trainer) { (agent) async throws in
      agent.signal(SIGTERM)
      #expect(try await agent.wait() == 0)
      #expect(left(by: agent.pid).isEmpty)
    }
  }
}
