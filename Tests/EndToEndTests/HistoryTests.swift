import FoundationEssentials
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// The answers of central's history, as lists and as a stream of events.
  @Suite struct HistoryTests {
    @Test(
      "Lists of rounds, models, contributions and events come in pages, also from a central that has started again", .timeLimit(.minutes(1))
    )
    func lists() async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north"], 2)
      try await withFleet(plan) { fleet in
        let task = try fleet.task(evaluate: EvaluationSpecification(every: 1, devices: true, seconds: 20))
        #expect(try await fleet.push("digits", task).status == 201)
        let done = try await fleet.waitForCompletion("digits")
        try await check(fleet, done)
        try await fleet.kill("central")
        try fleet.start("central")
        _ = try await fleet.wait(for: "digits", "there again") { _ in true }
        try await check(fleet, done)
        // The id of an ended task cannot be used again.
        #expect(try await fleet.push("digits", task).status == 200)
        var other = task
        other.rounds = 7
        #expect(try await fleet.push("digits", other).problem?.code == .taskExists)
      }
    }

    private func check(_ fleet: Fleet, _ done: TaskDetail) async throws {
      let task = "\(fleet.ops)/v1/tasks/digits"
      var all = try await fleet.http.get(TaskDetail.self, from: "\(task)?rounds=all")
      // The nodes' statuses of an ended task are no longer known after a restart.
      all.now = done.now
      #expect(all == done)
      let rounds = try await pages(RoundSummary.self, "\(task)/rounds", fleet)
      #expect(rounds.reversed() == done.rounds.map(RoundSummary.init))
      #expect(try await pages(ModelCheckpoint.self, "\(task)/models", fleet).reversed() == done.models)
      for record in done.rounds {
        #expect(try await fleet.http.get(RoundRecord.self, from: "\(task)/rounds/\(record.round)") == record)
      }
      let node = try NodePath(validating: try #require(fleet.plan.deviceList.first?.path))
      let own = try await pages(ContributionRow.self, "\(fleet.ops)/v1/contributions?node=\(node)&phase=train", fleet)
      #expect(own.map(\.round) == [3, 2, 1] && own.allSatisfy { $0.fate == .counted && $0.at != nil && $0.node == "\(node)" })
      #expect(own.map(\.digest) == done.rounds.reversed().map { $0.updates.first { $0.path == node }?.digest })
      #expect(try await pages(ContributionRow.self, "\(fleet.ops)/v1/contributions?task=digits", fleet).count == 12)
      let tasks = try await pages(TaskSummary.self, "\(fleet.ops)/v1/tasks?step=completed&name=IGIT", fleet)
      #expect(tasks == [done.summary])
      #expect(try await pages(TaskSummary.self, "\(fleet.ops)/v1/tasks?open=true", fleet).isEmpty)
      let kinds = try await pages(TaskEvent.self, "\(fleet.ops)/v1/events?task=digits", fleet).reversed().map(\.kind)
      let round: [TaskEvent.Kind] = [.opened, .closed, .model]
      #expect(kinds.prefix(5) == [.accepted, .model] + round && kinds.last == .ended)
      #expect(kinds.count { $0 == .round } == 3 && kinds.count { $0 == .evaluated } == 3)
      for wrong in ["limit=0", "limit=1001", "limit=x", "after=-1", "fate=lost", "round=-1", "task=%2f", "round=1"] {
        let answer = try await fleet.ask("GET", "\(fleet.ops)/v1/contributions?\(wrong)")
        #expect(answer.status == 400 && answer.problem?.code == .badRequest, "\(wrong): \(answer.text)")
      }
      #expect(try await fleet.ask("GET", "\(task)/rounds/4").problem?.code == .unknownRound)
    }

    /// Reads a list with two rows a page.
    private func pages<Row: Decodable & Sendable>(_: Row.Type, _ address: String, _ fleet: Fleet) async throws -> [Row] {
      var rows: [Row] = []
      var next: String? = address + (address.contains("?") ? "&" : "?") + "limit=2"
      while let page = next {
        let answer = try await fleet.http.send("GET", page)
        let part = try answer.decode([Row].self)
        #expect(part.count <= 2)
        rows += part
        next = answer["link"].flatMap { link in
          link.split(separator: ">").first.map { "\(fleet.ops)\($0.dropFirst())" }
        }
      }
      return rows
    }

    @Test(
      "A stream of events begins with a snapshot, tells what changes, and goes on after the last event that its client has seen",
      .timeLimit(.minutes(1)))
    func stream() async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north"], 2)
      try await withFleet(plan) { fleet in
        #expect(try await fleet.push("before", try fleet.task(rounds: 1)).status == 201)
        _ = try await fleet.waitForCompletion("before")
        let live = try listen(fleet, "live", "?task=before", [])
        _ = try await live.wait { $0.contains { $0.name == "snapshot" } }
        let all = try listen(fleet, "all", "", [])
        _ = try await all.wait { $0.contains { $0.name == "snapshot" } }
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2)).status == 201)
        _ = try await fleet.waitForCompletion("digits")
        let events = try await all.wait { $0.contains { $0.kind == .ended } }
        let snapshot = try JSON.decode(EventSnapshot.self, from: Array((events.first?.data ?? "").utf8))
        #expect(events.first?.name == "snapshot" && snapshot.tasks.isEmpty && snapshot.now.isEmpty, "only tasks that go on")
        let records = events.filter { $0.name == "record" }
        #expect(records.allSatisfy { $0.id != nil } && records.first?.kind == .accepted && records.count { $0.kind == .round } == 2)
        #expect(events.contains { $0.name == "now" && $0.id == nil && $0.data.contains("\"task\":\"digits\"") })
        #expect(try await live.wait { !$0.isEmpty }.map(\.name) == ["snapshot"], "another task is none of its business")

        // A client that lost its connection after the first round gets the later events, and no snapshot.
        let first = try #require(records.first { $0.kind == .round }?.id)
        let resumed = try listen(fleet, "resumed", "?task=digits", ["-H", "Last-Event-ID: \(first)"])
        let rest = try await resumed.wait { $0.contains { $0.kind == .ended } }
        #expect(rest.filter { $0.name == "record" } == records.filter { $0.id.map { $0 > first } ?? false })
        #expect(!rest.contains { $0.name == "snapshot" })
        // A number that this central never gave, as from another store.
        let strange = try listen(fleet, "strange", "?task=digits", ["-H", "Last-Event-ID: 99999999"])
        #expect(try await strange.wait { !$0.isEmpty }.first?.name == "snapshot")
        #expect(
          try await fleet.ask("GET", "\(fleet.ops)/v1/events?task=nothing", headers: [("accept", "text/event-stream")]).problem?.code
            == .unknownTask)
        // Open streams do not delay a stop.
        let start = ContinuousClock.now
        #expect(try await fleet.stop("central") == 0)
        #expect(.now - start < .seconds(5))
      }
    }

    private func listen(_ fleet: Fleet, _ name: String, _ query: String, _ headers: [String]) throws -> Listener {
      let file = fleet.folder.file("events-\(name)")
      let arguments = ["-sN", "-m", "60", "-o", file, "-H", "Accept: text/event-stream"] + headers + ["\(fleet.ops)/v1/events\(query)"]
      return Listener(file: file, process: try ChildProcess("curl", arguments, log: "/dev/null"))
    }
  }
}

/// A `curl` process that writes a stream to a file.
private struct Listener {
  let file: String
  let process: ChildProcess

  struct Event: Hashable {
    var name: String
    var id: Int?
    var data: String
    var kind: TaskEvent.Kind? { name == "record" ? (try? JSON.decode(TaskEvent.self, from: Array(data.utf8)))?.kind : nil }
  }

  /// The events so far, when they satisfy the condition.
  func wait(_ condition: ([Event]) -> Bool) async throws -> [Event] {
    var events: [Event] = []
    let came = try await eventually {
      events = read()
      return condition(events)
    }
    #expect(came, "\(events)")
    return events
  }

  private func read() -> [Event] {
    guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return [] }
    return text.components(separatedBy: "\n\n").dropLast().compactMap { block in
      var event = Event(name: "", id: nil, data: "")
      for line in block.split(separator: "\n") {
        if line.hasPrefix("event: ") { event.name = String(line.dropFirst(7)) }
        if line.hasPrefix("id: ") { event.id = Int(line.dropFirst(4)) }
        if line.hasPrefix("data: ") { event.data = String(line.dropFirst(6)) }
      }
      return event.name.isEmpty ? nil : event
    }
  }
}
