import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

/// Each promise holds, and the corresponding planted fault of the machine breaks it.
@Suite("Planted faults of the coordinator")
struct PlantedFaultTests {
  @Test("who connects again is told what is owed")
  func owed() {
    func says(_ faults: PlantedFaults) -> Bool {
      var bench = bench(faults)
      bench.tell(.disconnected, at: 1)
      bench.tell(.connected, at: 2)
      return bench.effects.contains { if case .publish(let descriptor) = $0 { descriptor.task == .digits } else { false } }
    }
    #expect(says([]) && !says(.forgetsOwed))
  }

  @Test("an older connection's Will says nothing about the present one")
  func olderWill() {
    func ignores(_ faults: PlantedFaults) -> Bool {
      var bench = bench(faults)
      bench.tell(.node(NodeState(node: .north, online: false, session: "0", nodeKind: .region)))
      return bench.machine.nodes[.north]?.online == true
    }
    #expect(ignores([]) && !ignores(.believesEveryWill))
  }

  @Test("who repeats an upload that counts hears that it counts, when its headers come and when its body is there")
  func repeats() {
    func tells(_ faults: PlantedFaults) -> [Bool] {
      var bench = bench(faults)
      _ = bench.deliver(1)
      let again = bench.deliver(1)
      return [again == .same, entry(bench) == .accepted(Digest(of: "a"))]
    }
    #expect(tells([]) == [true, true] && tells(.repeatsAreRefused) == [false, false])
  }

  @Test("an upload counts once")
  func countsOnce() {
    func counted(_ faults: PlantedFaults) -> Int {
      var bench = bench(faults)
      return (0..<2).reduce(0) { count, _ in count + (bench.deliver(1) == .stored ? 1 : 0) }
    }
    #expect(counted([]) == 1 && counted(.countsRepeats) == 2)
  }

  @Test("what was admitted is not accepted once the phase is closed")
  func lateBody() {
    func refuses(_ faults: PlantedFaults) -> Bool {
      var bench = bench(faults)
      _ = (bench.deliver(1), bench.deliver(2))
      if case .closed = bench.deliver(3) { return bench.task?.stage == .aggregating }
      return false
    }
    #expect(refuses([]) && !refuses(.admissionIsAcceptance))
  }

  @Test("who does not answer is silent")
  func silence() {
    func isSilent(_ faults: PlantedFaults) -> Bool {
      var bench = bench(faults)
      bench.tell(.tick, at: 11)
      return bench.machine.silence(of: .north) != nil
    }
    #expect(isSilent([]) && !isSilent(.forgetsSilence))
  }

  @Test("numbers that cannot be added up do not count")
  func numbers() {
    func answer(_ faults: PlantedFaults) -> Bool {
      var bench = bench(faults)
      let contribution = ContributionRecord(
        path: NodePath(.north, .pi(1)), digest: Digest(of: "a"), weight: 1, bytes: 1, metrics: ["accuracy": 1e308])
      bench.tell(.contribution(.digits, round: 1, phase: .train, contribution, reply: Coordinator.Reply(7)))
      return bench.task?.train?.accepted.isEmpty == true
    }
    #expect(answer([]) && !answer(.acceptsAnyNumber))
  }

  @Test("a further attempt takes no row back")
  func rows() throws {
    var bench = CentralBench(specification(size: 3, minimum: 3, devices: false), ready: 3)
    _ = bench.deliver(1)
    bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .short, round: 1, attempt: 1, phase: .train, devices: 1, have: 1)))
    bench.tell(.tick, at: 10)
    let records = bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .ready, devices: 4)), at: 20)
    let opened = try #require(records.first { $0.kind == "opened" })
    #expect(bench.task?.attempt == 2 && !opened.supersedes.contains("contributed"))
    #expect(CentralBench(restoring: bench).task?.train?.acceptedDevices == 1)
  }

  private func bench(_ faults: PlantedFaults) -> CentralBench {
    var bench = CentralBench()
    bench.machine.configuration.faults = faults
    return bench
  }

  /// The answer to the headers of the first device's upload.
  private func entry(_ bench: CentralBench) -> UploadAdmission {
    let path = NodePath(.north, .pi(1))
    let grant = Grant(secret: [1], task: .digits).descendant(path)
    return bench.machine.admission(
      ContributionKey(task: .digits, round: 1, phase: .train, path: path), ticket: grant.ticket(task: .digits, round: 1, phase: .train),
      grant: { _, _ in grant })
  }
}
