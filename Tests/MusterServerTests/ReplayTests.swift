import MusterSchema
import Synchronization
import TestSupport
import Testing

@testable import MusterCentral
@testable import MusterServer

@Suite("Replays at central") struct ReplayTests {
  @Test("One round is computed at a time: a second request gets 429, and the next one after that is answered")
  func oneAtATime() async throws {
    let folder = try TemporaryFolder()
    let settings = try await ServerSettings(
      arguments: ["muster-central", "--state", folder.file("state"), "--regions", "north"], environment: [:],
      defaultFile: "/nowhere/central.yaml")
    let central = try await Central(try await CentralConfiguration(settings, defaultState: nil), logger: LogRecorder().logger)
    func status() async -> Int? {
      do {
        _ = try await central.replay(TaskID(unchecked: "digits"), round: 1)
        return nil
      } catch {
        return error.status
      }
    }
    #expect(await status() == 404)
    central.isReplaying.withLock { $0 = true }
    #expect(await status() == 429)
    central.isReplaying.withLock { $0 = false }
    #expect(await status() == 404)
  }
}
