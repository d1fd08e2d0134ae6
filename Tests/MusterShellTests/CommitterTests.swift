import MusterGround
import MusterParticipation
import MusterSchema
import Testing

@testable import MusterShell

@Suite("Commit, then speak")
struct CommitterTests {
  @Test("the effects of a batch leave after its records are stored, and its senders hear of it then")
  func commitFirst() {
    #expect(speaksAfterCommit([]))
  }

  @Test("letters that came together are one transaction, in order")
  func oneTransaction() {
    var bench = ShellBench()
    bench.post(.add([.a], 1), .look(.a), .add([.b], 2))
    bench.run()
    #expect(bench.stored.map { $0.map(\.amount) } == [[1, 2]])
    #expect(bench.effects == [.says(.a, 1), .says(.a, 1), .says(.b, 2)])
  }

  @Test("more letters than fit into a batch make several, in order")
  func batches() {
    var bench = ShellBench()
    for amount in 1...1100 { bench.post(.add([.a], amount)) }
    bench.run()
    #expect(bench.stored.map(\.count) == [512, 512, 76])
    #expect(bench.stored.flatMap { $0 }.map(\.amount) == Array(1...1100))
  }

  @Test("what needs no record touches no disk, even a full one")
  func withoutRecords() {
    var bench = ShellBench()
    bench.isDiskFull = true
    bench.post(.look(.a))
    bench.run()
    #expect(bench.stored.isEmpty && bench.effects == [.says(.a, 0)] && bench.outcomes == ["1": "committed"])
  }

  @Test("readers see the machine as it is stored, while the transaction is under way")
  func readers() {
    var bench = ShellBench()
    bench.post(.add([.a], 1))
    guard case .store = bench.committer.begin(at: .zero, letters: { bench.inbox.drain($0) }) else {
      Issue.record("there is a record to store")
      return
    }
    #expect(bench.committer.isStoring && bench.machine.amounts.isEmpty)
    _ = bench.committer.stored()
    #expect(!bench.committer.isStoring && bench.machine.amounts == [.a: 1])
  }

  @Test("what arrives while a transaction is under way waits for the next one")
  func meanwhile() {
    var bench = ShellBench()
    bench.post(.add([.a], 1))
    guard case .store = bench.committer.begin(at: .zero, letters: { bench.inbox.drain($0) }) else {
      Issue.record("there is a record to store")
      return
    }
    bench.post(.add([.b], 2))
    let batch = bench.committer.stored()
    bench.run()
    #expect(batch.effects == [.says(.a, 1)] && bench.effects == [.says(.b, 2)] && bench.machine.amounts == [.a: 1, .b: 2])
  }

  @Test("a failed commit leaves the machine as it was, says nothing, and tells the senders")
  func failedCommit() {
    #expect(failureIsUndone([]))
    #expect(failureIsSilent([]))
  }

  @Test("after a failed commit, what time makes due waits a second; letters do not")
  func pause() {
    var bench = ShellBench()
    bench.isDiskFull = true
    bench.now = Instant(milliseconds: 5000)
    bench.post(.wake(Instant(milliseconds: 5010)), .add([.a], 1))
    bench.run()
    // The batch was undone, including the alarm.
    bench.post(.wake(Instant(milliseconds: 5010)))
    #expect(bench.run() == Instant(milliseconds: 6000))
    bench.now = Instant(milliseconds: 5500)
    bench.isDiskFull = false
    bench.post(.add([.b], 2))
    #expect(bench.run() == nil)
    #expect(bench.stored.count == 1 && bench.effects == [.says(.b, 2), .rang], "a commit has succeeded since")
  }

  @Test("the machine is woken at its deadline, once")
  func deadline() {
    #expect(wakesAtDeadline([]))
    var bench = ShellBench()
    bench.post(.wake(Instant(milliseconds: 700)))
    #expect(bench.run() == Instant(milliseconds: 701), "its own time is cut to milliseconds")
    bench.now = Instant(milliseconds: 701)
    #expect(bench.run() == nil && bench.effects == [.rang])
  }

  @Test("a tick that changes nothing is noticed")
  func uselessTick() {
    var bench = ShellBench()
    bench.post(.wake(Instant(milliseconds: 700)))
    bench.run()
    #expect(bench.committer.tickWasUseful == nil)
    bench.now = Instant(milliseconds: 701)
    _ = bench.committer.begin(at: bench.now, letters: { _ in [] })
    #expect(bench.committer.tickWasUseful == true)
    bench.post(.sleepBadly(Instant(milliseconds: 800)))
    bench.run()
    bench.now = Instant(milliseconds: 801)
    _ = bench.committer.begin(at: bench.now, letters: { _ in [] })
    #expect(bench.committer.tickWasUseful == false, "it rings, does nothing, and stays due")
  }

  @Test("a driver that stops learns who still waits")
  func abandon() {
    var bench = ShellBench()
    bench.unstorable = [.a: ["added"]]
    bench.post(.add([.a], 1), .add([.b], 1), .add([.b], 2))
    guard case .store = bench.committer.begin(at: .zero, letters: { bench.inbox.drain($0) }) else {
      Issue.record("there are records to store")
      return
    }
    _ = bench.committer.refused(.a, reason: "x", at: .zero)
    guard case .store = bench.committer.begin(at: .zero, letters: { bench.inbox.drain($0) }) else {
      Issue.record("there are records to store")
      return
    }
    #expect(bench.committer.abandon().sorted() == ["1", "2", "3"])
    #expect(bench.committer.abandon().isEmpty && !bench.committer.hasParts && !bench.committer.isStoring)
  }
}

@Suite("A record that can never be stored")
struct UnstorableRecordTests {
  @Test("ends its own task; the other letters of the batch are stored")
  func alone() {
    #expect(poisonEndsItsTask([]))
  }

  @Test("its event still does its work for other tasks, after the tasks of all such records have ended")
  func severalTasks() {
    var bench = ShellBench()
    bench.unstorable = [.a: ["added"], .b: ["added"]]
    bench.post(.add([.a, .b, .c], 1))
    bench.run()
    #expect(bench.machine.ended == [.a, .b] && bench.machine.amounts == [.c: 1])
    #expect(bench.stored.map { $0.map(\.kind) } == [["end"], ["end"], ["added"]])
    #expect(bench.outcomes == ["1": "committed"])
  }

  @Test("the end of the task is recorded bare when even its full record cannot be stored")
  func bareEnd() {
    var bench = ShellBench()
    bench.unstorable = [.a: ["added", "end"]]
    bench.post(.add([.a], 1))
    bench.run()
    #expect(bench.stored.map { $0.map(\.kind) } == [["bare end"]] && bench.machine.ended == [.a])
  }

  @Test("when not even that can be stored, the event is dropped and its sender is told; everything else goes on")
  func dropped() {
    var bench = ShellBench()
    bench.unstorable = [.a: ["added", "end", "bare end"]]
    bench.post(.add([.b], 1), .add([.a], 1), .add([.c], 1))
    bench.run()
    #expect(bench.outcomes == ["1": "committed", "2": "dropped", "3": "committed"])
    #expect(bench.machine.ended.isEmpty && bench.machine.amounts == [.b: 1, .c: 1])
  }

  @Test("a full disk meanwhile fails the letter, as it fails any other; the next one is tried as usual")
  func fullDisk() {
    for unstorable in [["added"], ["added", "end"]] as [Set<String>] {
      var bench = ShellBench()
      bench.unstorable = [.a: unstorable]
      bench.isDiskFull = true
      bench.post(.add([.b], 1), .add([.a], 1))
      bench.run()
      #expect(bench.outcomes == ["1": "failed", "2": "failed"] && bench.machine.ended.isEmpty && bench.stored.isEmpty)
      bench.isDiskFull = false
      bench.post(.add([.a], 1))
      bench.run()
      #expect(bench.machine.ended == [.a] && bench.outcomes["3"] == "committed")
    }
  }
}

/// Each planted fault of the shell breaks the promise that its unit test checks.
@Suite("Planted faults of the shell")
struct PlantedFaultTests {
  @Test("are found by the promises that they break")
  func found() {
    #expect(!speaksAfterCommit(.effectsBeforeCommit))
    #expect(!failureIsSilent(.failedCommitHasEffects))
    #expect(!failureIsUndone(.failedCommitKeepsState))
    #expect(!wakesAtDeadline(.forgetsTimers))
    #expect(!poisonEndsItsTask(.poisonIsRetried))
  }
}

// MARK: - Promises

private func speaksAfterCommit(_ faults: PlantedFaults) -> Bool {
  var bench = ShellBench(faults: faults)
  bench.post(.add([.a], 1))
  bench.run()
  return bench.words.map(\.transactions) == [1] && bench.effects == [.says(.a, 1)] && bench.outcomes == ["1": "committed"]
}

private func failed(_ faults: PlantedFaults) -> ShellBench {
  var bench = ShellBench(faults: faults)
  bench.isDiskFull = true
  bench.post(.add([.a], 1))
  bench.run()
  return bench
}

private func failureIsUndone(_ faults: PlantedFaults) -> Bool { failed(faults).machine.amounts.isEmpty }

private func failureIsSilent(_ faults: PlantedFaults) -> Bool {
  let bench = failed(faults)
  return bench.effects.isEmpty && bench.outcomes == ["1": "failed"]
}

private func wakesAtDeadline(_ faults: PlantedFaults) -> Bool {
  var bench = ShellBench(faults: faults)
  bench.post(.wake(Instant(milliseconds: 700)))
  guard let due = bench.run() else { return false }
  bench.now = due
  bench.run()
  return bench.effects == [.rang]
}

private func poisonEndsItsTask(_ faults: PlantedFaults) -> Bool {
  var bench = ShellBench(faults: faults)
  bench.unstorable = [.a: ["added"]]
  bench.post(.add([.b], 1), .add([.a], 1), .add([.b], 2), .add([.c], 3))
  bench.run()
  return bench.machine.ended == [.a] && bench.machine.amounts == [.b: 3, .c: 3]
    && bench.outcomes == ["1": "committed", "2": "committed", "3": "committed", "4": "committed"]
}
