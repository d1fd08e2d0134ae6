import FoundationEssentials
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct OperationTests {
    @Test("Tasks and rounds say when they were pushed and ended, the newest task first, also after a restart", .timeLimit(.minutes(1)))
    func dates() async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north"], 1)
      try await withFleet(plan) { fleet in
        let before = WallTime.now
        for task in ["first", "second"] {
          #expect(try await fleet.push(task, try fleet.task(rounds: 2)).status == 201)
          try await fleet.waitForCompletion(task)
        }
        try await fleet.kill("central")
        try fleet.start("central")
        let detail = try await fleet.wait(for: "second", "there again") { _ in true }
        let times = [before, detail.summary.pushed] + detail.rounds.map(\.ended) + [detail.summary.ended, WallTime.now]
        let known = times.compactMap { $0 }
        #expect(known.count == times.count && known == known.sorted(), "\(times)")
        let tasks: [TaskSummary] = try await fleet.http.get(from: "\(fleet.ops)/v1/tasks")
        #expect(tasks.map(\.task.rawValue) == ["second", "first"])
        let list = try await fleet.muster(["task", "list", "--state", "completed", "--last", "1"])
        #expect(list.status == 0 && list.output.contains("second") && !list.output.contains("first"), "\(list)")
        #expect(try await fleet.muster(["task", "list", "--state", "failed"]).output.contains("second") == false)
      }
    }

    @Test("The lists say since when a node is offline, and whether it stopped or was lost, also after a restart", .timeLimit(.minutes(1)))
    func presence() async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north", "south"], 4)
      try await withFleet(plan) { fleet in
        let before = WallTime.now
        let capture = try await fleet.capture()
        let devices = fleet.plan.deviceList.filter { $0.region == "north" }
        let (lost, stopped) = (devices[0], devices[1])
        try await fleet.kill(lost.id)
        _ = try await fleet.stop(stopped.id)
        _ = try await fleet.stop("south")
        func nodes() async throws -> [NodeSummary] {
          let nodes: [NodeSummary] = try await fleet.http.get(from: "\(fleet.ops)/v1/nodes")
          return nodes.sorted { $0.path < $1.path }
        }
        #expect(try await eventually { try await nodes().map(\.state.reason) == [Farewell.lost, Farewell.stopped] })
        let known = try await nodes().compactMap(\.since)
        #expect(known.count == 2 && known.allSatisfy { before < $0 && $0 < WallTime.now }, "\(known)")
        let wills = capture.heard.filter { $0.topic.hasSuffix("nodes/\(lost.id)/state") && !$0.payload.isEmpty }
        #expect(wills.last?.payload.contains(#""reason":"connection lost""#) == true)

        _ = try await fleet.stop("north")
        try fleet.start("north")
        // It reads the states from the broker again, but keeps the times of the first start.
        #expect(try await eventually { try await nodes().count == 2 })
        #expect(try await nodes().compactMap(\.since) == known)
        let regions: [RegionSummary] = try await fleet.http.get(from: "\(fleet.ops)/v1/regions")
        #expect(regions.map(\.reason) == [nil, Farewell.stopped] && regions.allSatisfy { $0.since != nil }, "\(regions)")
        let list = try await fleet.muster(["node", "list"]).output.split(separator: "\n").map(String.init)
        #expect(list.contains { $0.hasPrefix(lost.path) && $0.contains("offline since \(known[0].words), connection lost") }, "\(list)")
        #expect(list.contains { $0.hasPrefix(stopped.path) && $0.contains("offline since \(known[1].words), stopped") }, "\(list)")
      }
    }

    @Test("Pause, resume and cancel act within a second, and nothing trains on after a cancel", .timeLimit(.minutes(1)))
    func pauseResumeCancel() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan) { fleet in
        let capture = try await fleet.capture()
        #expect(try await fleet.push("digits", try fleet.task(gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(4, "digits", round: 1)

        let paused = try await act("pause", .paused, fleet, capture)
        // Running jobs finish and count, and no device is invited.
        try fleet.gate.open()
        try await fleet.waitForUpdates(fleet.plan.deviceList.map(\.path), of: "digits", round: 1)
        #expect(try await fleet.detail("digits").summary.step == .paused)
        #expect(try await fleet.why("digits").sentence.contains("paused by an operator"))
        try fleet.gate.close()

        _ = try await act("resume", .open, fleet, capture)
        // The descriptor's second revision is the pause, its third the resumption. Each invitation contains its revision.
        let invitations = capture.heard.filter { $0.topic.contains("/invitations/") && $0.at > paused }.compactMap {
          $0.decode(Invitation.self)
        }
        #expect(!invitations.contains { $0.revision == 2 }, "nobody is invited while the task is paused")
        try await fleet.gate.waitForTrainers(4, "digits", round: 2)
        #expect(try await fleet.detail("digits").rounds.first?.updates.count == 4)
        #expect(fleet.gate.processes.count == 4)

        _ = try await act("cancel", .cancelled, fleet, capture) {
          let jobs = try fleet.plan.deviceList.map {
            try FileManager.default.contentsOfDirectory(atPath: "\(fleet.places.state($0.id))/jobs")
          }
          return fleet.gate.processes.isEmpty && jobs.allSatisfy(\.isEmpty)
        }
        let cancelled = try await fleet.detail("digits")
        #expect(cancelled.summary.step == .cancelled && cancelled.rounds.count == 1)
        for action in ["pause", "resume", "cancel"] {
          let answer = try await fleet.ask("POST", "\(fleet.ops)/v1/tasks/digits/\(action)")
          #expect(answer.status == 409 && answer.text.contains("cancelled"))
        }

        // All devices are free for the next task.
        #expect(try await fleet.push("next", try fleet.task(rounds: 1)).status == 201)
        #expect(try await fleet.waitForCompletion("next").rounds[0].updates.count == 4)
      }
    }

    /// Carries out an action, and expects the descriptor with that state on both regions' topics, and the other condition, within a second.
    ///
    /// - Returns: the time at which the last region had it, in seconds since 1970.
    private func act(
      _ action: String, _ state: TaskDescriptor.State, _ fleet: Fleet, _ capture: TopicCapture, also: () throws -> Bool = { true }
    ) async throws -> Double {
      let began = Date().timeIntervalSince1970
      #expect(try await fleet.ask("POST", "\(fleet.ops)/v1/tasks/digits/\(action)").status == 200)
      var last = 0.0
      for region in fleet.plan.regions {
        let heard = try await capture.first("\(action) at \(region)") {
          $0.at >= began && $0.topic == "muster/v1/\(region)/tasks/digits" && $0.decode(TaskDescriptor.self)?.state == state
        }
        #expect(heard.at - began < 1, "\(action) took \(heard.at - began) s to \(region)")
        last = max(last, heard.at)
      }
      #expect(try await eventually(within: .seconds(5), also), "\(action)")
      let took = Date().timeIntervalSince1970 - began
      #expect(took < 1, "\(action) took \(took) s")
      return last
    }

    @Test("Two tasks at once on the same devices both complete", .timeLimit(.minutes(1)))
    func twoTasks() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan) { fleet in
        let task = try fleet.task(rounds: 2)
        async let first = fleet.push("first", task)
        async let second = fleet.push("second", task)
        #expect(try await first.status == 201)
        #expect(try await second.status == 201)
        for name in ["first", "second"] {
          let done = try await fleet.waitForCompletion(name)
          #expect(done.rounds.map(\.updates.count) == [4, 4])
        }
        let tasks: [TaskSummary] = try await fleet.http.get(from: "\(fleet.ops)/v1/tasks")
        #expect(tasks.map(\.task.rawValue).sorted() == ["first", "second"])
      }
    }

    @Test("A task pushed to a region is accepted once central has it, and runs; pushed again it is the same task", .timeLimit(.minutes(1)))
    func pushToRegion() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan) { fleet in
        let task = try fleet.task(rounds: 1)
        #expect(try await fleet.push("digits", task, to: fleet.ops(of: "south")).status == 201)
        #expect(try await fleet.detail("digits").specification == task)

        // Repeated pushes, to any program, are the same task.
        #expect(try await fleet.push("digits", task, to: fleet.ops(of: "north")).status == 200)
        #expect(try await fleet.push("digits", task).status == 200)
        var other = task
        other.rounds = 2
        for address in [fleet.ops, fleet.ops(of: "north")] {
          let answer = try await fleet.push("digits", other, to: address)
          #expect(answer.status == 409 && answer.text.contains("different content"))
        }
        #expect(try await fleet.waitForCompletion("digits").rounds[0].updates.count == 4)
        #expect(try await fleet.push("digits", task).status == 200)
        #expect(try await fleet.http.get([TaskSummary].self, from: "\(fleet.ops)/v1/tasks").count == 1)

        // A refusal by central is passed on unchanged. Without central, no task is accepted.
        other.rounds = 0
        let refused = try await fleet.push("wrong", other, to: fleet.ops(of: "north"))
        #expect(refused.status == 422 && refused.text.contains("rounds"))
        try await fleet.kill("central")
        let answer = try await fleet.push("later", task, to: fleet.ops(of: "north"))
        #expect(answer.status == 502 || answer.status == 503)
        #expect(answer.text.lowercased().contains("central"))
        try fleet.start("central")
        try await fleet.waitForDevices(4)
        #expect(try await fleet.ask("GET", "\(fleet.ops)/v1/tasks/later").status == 404)
        #expect(try await fleet.push("later", task, to: fleet.ops(of: "north")).status == 201)
        try await fleet.waitForCompletion("later")
      }
    }
  }
}
