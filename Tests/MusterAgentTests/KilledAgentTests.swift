import Glibc
import MusterDataPlane
import MusterGround
import MusterSchema
import MusterServer
import MusterStorage
import Synchronization
import TestSupport
import Testing

@testable import MusterAgent

/// Kills the agent's process, as a power cut would, while it sends or fetches 50 MB.
@Suite(.timeLimit(.minutes(2))) struct KilledAgentTests {
  private static let values = 13_107_200

  /// Kills a process once.
  private final class Killer: Sendable {
    private let victim = Mutex<Int32?>(nil)
    private let isDone = Mutex(false)
    private let at: Int

    init(at: Int) { self.at = at }

    func aim(at process: ChildProcess) { victim.withLock { $0 = process.pid } }
    var hasKilled: Bool { isDone.withLock(\.self) }

    func look(_ total: Int) {
      guard total >= at, let pid = victim.withLock(\.self) else { return }
      isDone.withLock { isDone in
        guard !isDone else { return }
        isDone = true
        kill(pid, SIGKILL)
      }
    }
  }

  @Test("An agent that is killed at 10, 50 or 90 % of an upload sends at most one part again", arguments: [10, 50, 90])
  func upload(percent: Int) async throws {
    try await Device.with(values: Self.values, answering: .always(404)) { device in
      try await RealDataPlane.with(device.folder, base: device.base) { plane in
        let size = device.base.count
        let killer = Killer(at: size / 100 * percent)
        let proxy = try CuttingProxy(to: plane.port) { total in
          killer.look(total)
          return .pass
        }
        let first = try await device.process()
        killer.aim(at: first)
        try await device.prepare()
        try device.invite(to: proxy.address)
        #expect(try await eventually(within: .seconds(60)) { killer.hasKilled })
        #expect(try await first.wait() == 128 + SIGKILL)
        let mark = try #require(Files.names(in: device.folder.file("state/jobs")).first)
        #expect(Files.exists(device.folder.file("state/jobs/\(mark)/upload.json")))
        #expect(try await eventually { device.node?.online == false })
        let second = try await device.process()
        #expect(try await eventually(within: .seconds(60)) { device.states.last == .done }, "\(second.log.suffix(2000))")
        let offer = try #require(plane.ledger.accepted.first)
        let again = proxy.received - offer.contribution.bytes
        print("killed at \(percent) %: \(offer.contribution.bytes) bytes, \(again) more through the proxy, heads included")
        #expect(again <= 1 << 20)
        #expect(plane.ledger.accepted.count == 1)
        #expect(plane.store.partials.totals.count == 0)
        #expect(second.log.contains("the upload continues"))
        second.signal(SIGTERM)
        #expect(try await second.wait() == 0)
      }
    }
  }

  @Test("An agent that is killed while it fetches the model goes on where it was")
  func download() async throws {
    try await Device.with(values: Self.values, answering: .always(404)) { device in
      try await RealDataPlane.with(device.folder, base: device.base) { plane in
        let (up, down) = (try CuttingProxy(to: plane.port), try CuttingProxy(to: plane.port))
        let first = try await device.process()
        try await device.prepare(data: down.address)
        try device.invite(to: up.address)
        let partial = "\(device.folder.file("state/blobs"))/"
        func there() -> Int { Files.names(in: partial).compactMap { Files.size(partial + $0) }.max() ?? 0 }
        #expect(try await eventually(within: .seconds(60), every: .milliseconds(1)) { there() > 1 << 20 })
        first.signal(SIGKILL)
        try await first.wait()
        let kept = there()
        let before = down.returned
        #expect(kept < device.base.count)
        let second = try await device.process()
        #expect(try await eventually(within: .seconds(60)) { device.states.last == .done }, "\(second.log.suffix(2000))")
        print("killed with \(kept) of \(device.base.count) bytes: \(down.returned - before) came then")
        #expect(down.returned - before < device.base.count - kept + (64 << 10))
        second.signal(SIGTERM)
        try await second.wait()
      }
    }
  }
}
