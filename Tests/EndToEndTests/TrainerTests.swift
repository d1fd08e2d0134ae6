import FoundationEssentials
import Glibc
import MusterSchema
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct TrainerTests {
    /// The configuration of a trainer that runs this shell script with the job's folder as `$1`.
    private func shell(_ script: String, seconds: Int = 60, _ more: String = "") throws -> String {
      let text = String(decoding: try JSON.encode(script), as: UTF8.self)
      return #""own": {"command": ["/bin/sh", "-c", \#(text), "trainer"], "timeoutSeconds": \#(seconds), "graceSeconds": 0.2\#(more)}"#
    }

    @Test("Bad trainers cost their own devices the round; the others complete it, and every agent goes on", .timeLimit(.minutes(2)))
    func badTrainers() async throws {
      let good = #"cp "$1/global.safetensors" "$1/update.safetensors"; echo '{"samples":3,"metrics":{"loss":1}}' > "$1/metrics.json""#
      let bad = [
        ("pi-1", try shell("yes 'a line of log'", #", "limits": {"outputMiB": 4}"#), "trainer printed more than 4 MiB"),
        (
          "pi-2", try shell(#"\#(good); ln -sf /etc/passwd "$1/update.safetensors""#),
          "trainer's result is not valid: update.safetensors is a link, but must be a regular file"
        ),
        (
          "pi-3", try shell("trap '' TERM; echo waiting; while :; do sleep 100; done", seconds: 1),
          "trainer took longer than 1.0 s: waiting"
        ),
        ("pi-4", try shell("echo '{\"progress\":0.5}'; kill -ABRT $$"), "trainer was killed by signal 6 (SIGABRT)"),
      ]
      var plan = FleetPlan()
      for (device, trainer, _) in bad { plan.trainers[device] = trainer }
      for device in ["pi-5", "pi-6"] { plan.trainers[device] = try shell(good) }
      try await withFleet(plan) { fleet in
        let capture = try await fleet.capture()
        var task = try fleet.task(rounds: 1, minimum: 2, seconds: 10)
        task.trainer = "own"
        #expect(try await fleet.push("digits", task).status == 201)
        let record = try #require(try await fleet.waitForCompletion("digits").rounds.first)
        #expect(record.updates.map(\.path.description).sorted() == ["north/pi-5", "south/pi-6"])
        #expect(Set(record.missed.map(\.node)).isSuperset(of: ["north/pi-1", "north/pi-3", "south/pi-2", "south/pi-4"]))
        for (device, _, reason) in bad {
          let failures = capture.heard.compactMap { heard in
            heard.topic.hasSuffix("/nodes/\(device)/tasks/digits") ? heard.decode(NodeStatus.self) : nil
          }.filter { $0.state == .failed }
          #expect(failures.first?.reason?.hasPrefix(reason) == true, "\(device): \(failures.first?.reason ?? "never failed")")
          let log = try String(
            contentsOfFile: "\(fleet.places.state(device))/failed/digits.1.train/trainer.log", encoding: .utf8)
          #expect(log.contains(reason.prefix(30)))
        }
        // All devices do the next task.
        #expect(try await fleet.push("next", try fleet.task(rounds: 1)).status == 201)
        #expect(try await fleet.waitForCompletion("next").rounds.first?.updates.count == 6)
      }
    }

    @Test("A task goes to the devices that have its trainer in its version; the others say what they have", .timeLimit(.minutes(1)))
    func capabilities() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      let train = try Checkout.executables() + "/muster-train"
      for (device, version) in [("pi-1", "2.1"), ("pi-2", "1.9")] {
        plan.trainers[device] = #""own": {"command": ["\#(train)"], "models": ["lenet5"], "version": "\#(version)"}"#
      }
      try await withFleet(plan) { fleet in
        let capture = try await fleet.capture()
        var task = try fleet.task(rounds: 1, cohort: 1)
        task.trainer = "own>=2"
        #expect(try await fleet.push("new", task).status == 201)
        let done = try await fleet.waitForCompletion("new")
        #expect(done.rounds.first?.updates.map(\.path.description) == ["north/pi-1"])
        func reasons(_ device: String) -> [String] {
          capture.heard.compactMap { heard in
            heard.topic.hasSuffix("/nodes/\(device)/tasks/new") ? heard.decode(NodeStatus.self)?.reason : nil
          }
        }
        #expect(reasons("pi-2").contains(#"trainer "own" has version 1.9, the task needs 2"#))
        #expect(reasons("pi-3").contains(#"has no trainer "own" (it has: built-in, gated)"#))

        task = try fleet.task(rounds: 1)
        task.trainer = TrainerSelection(any: ["own>=2", "built-in"])
        #expect(try await fleet.push("any", task).status == 201)
        #expect(try await fleet.waitForCompletion("any").rounds.first?.updates.count == 4)
        #expect(trainers(of: "any", capture) == ["pi-1": "own", "pi-2": "built-in", "pi-3": "built-in", "pi-4": "built-in"])

        task.trainer = "nobody"
        let refused = try await fleet.push("nobody", task)
        #expect(
          refused.status == 422 && refused.text.contains(#"with this trainer: has no trainer "nobody" (it has: built-in, gated, own)"#))
        let list = try await fleet.muster(["node", "list"])
        #expect(
          list.status == 0 && list.output.contains("own 2.1 (lenet5)") && list.output.contains("built-in 0.1.0 (softmax, mlp, lenet5)"))
      }
    }

    @Test("Central holds its own trainers to their limits, and leaves none behind when it is killed", .timeLimit(.minutes(1)))
    func central() async throws {
      let notes = try TemporaryFolder()
      let script = """
        grep -q initialize "$1/task.json" || { setsid sleep 1000 & sleep 1000 & echo > "\(notes.path)/evaluates"; wait; }
        { nice; ulimit -d; ulimit -f; ulimit -n; ulimit -t; echo "$OMP_NUM_THREADS $MINE"; pwd; } > "\(notes.path)/limits"
        exec "\(try Checkout.executables())/muster-train" "$1"
        """
      var plan = FleetPlan()
      plan.devices = 1
      plan.regions = ["north"]
      plan.centralTrainer = """
        {command: [/bin/sh, -c, \(String(decoding: try JSON.encode(script), as: UTF8.self)), trainer], threads: 3, environment: [MINE=a=b],
            folder: \(notes.path), limits: {memoryMiB: 900, fileMiB: 5, openFiles: 100, cpuSeconds: 50, nice: 7}}
        """
      try await withFleet(plan) { fleet in
        var task = try fleet.task(rounds: 1)
        // Versions are required only of devices, because central's own trainer may be another program with that name.
        task.trainer = TrainerSelection(any: ["own>=2.1", "built-in"])
        #expect(try await fleet.push("digits", task).status == 201)
        #expect(try await eventually { access("\(notes.path)/evaluates", F_OK) == 0 })
        let limits = try String(contentsOfFile: "\(notes.path)/limits", encoding: .utf8)
        #expect(limits == "7\n921600\n10240\n100\n50\n3 a=b\n\(notes.path)\n")
        let mark = Array("MUSTER_TRAINER=\(try fleet.process("central").pid).".utf8)
        func left() throws -> [String] {
          try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { name in
            guard let environment = FileManager.default.contents(atPath: "/proc/\(name)/environ") else { return false }
            return environment.split(separator: 0).contains { $0.starts(with: mark) }
          }
        }
        #expect(try left().count >= 4)
        try await fleet.kill("central")
        #expect(try await eventually(within: .seconds(5)) { try left().isEmpty })
      }
    }

    /// The trainer of each device according to its status.
    private func trainers(of task: String, _ capture: TopicCapture) -> [String: String] {
      var trainers: [String: String] = [:]
      for heard in capture.heard where heard.topic.hasSuffix("/tasks/\(task)") {
        guard let status = heard.decode(NodeStatus.self), status.state == .done, let trainer = status.trainer else { continue }
        trainers[status.node.rawValue] = trainer
      }
      return trainers
    }

    @Test(
      "Built-in, NumPy and ONNX devices in one task reach what built-in devices alone reach, within a point",
      .enabled(if: MixedFleet.library != nil, "MUSTER_ONNXRUNTIME names no libonnxruntime.so: scripts/test sets it"),
      .enabled(if: MixedFleet.python != nil, "MUSTER_PYTHON names no Python with numpy and safetensors"),
      .timeLimit(.minutes(2)))
    func mixedFleet() async throws {
      var plan = FleetPlan()
      let train = try Checkout.executables() + "/muster-train"
      for device in ["pi-1", "pi-2"] {
        plan.trainers[device] = """
          "onnx": {"command": ["\(train)", "onnx", "--resident"], "resident": true,
                   "environment": {"MUSTER_ONNXRUNTIME": "\(MixedFleet.library ?? "")", "PATH": "/nowhere"}}
          """
      }
      let expected = ["pi-1": "onnx", "pi-2": "onnx", "pi-3": "numpy", "pi-4": "numpy", "pi-5": "built-in", "pi-6": "built-in"]
      let python = try #require(MixedFleet.python)
      for device in ["pi-3", "pi-4"] {
        plan.trainers[device] = """
          "numpy": {"command": ["\(python)", "-m", "muster", "--resident", "\(try Checkout.file("examples/trainers/numpy"))/trainer.py:train"],
                    "resident": true, "environment": {"PYTHONPATH": "\(try Checkout.file("python/src"))"}}
          """
      }
      let step = Array(try Data(contentsOf: URL(filePath: try Checkout.file("examples/trainers/onnxruntime/lenet5.onnx"))))
      // The same id gives the same seeds, so the two runs differ only in the trainers.
      var alone: TaskDetail?
      try await withFleet { fleet in
        #expect(try await fleet.push("digits", try mixedTask(fleet)).status == 201)
        alone = try await fleet.waitForCompletion("digits")
      }
      var mixed: TaskDetail?
      try await withFleet(plan) { fleet in
        let capture = try await fleet.capture()
        var task = try mixedTask(fleet)
        task.trainer = TrainerSelection(any: ["onnx", "numpy", "built-in"])
        task.model.step = TrainingStep(blob: Digest(of: step))
        let early = try await fleet.push("digits", task)
        #expect(early.status == 422 && early.text.contains("model.step.blob: central holds no blob"))
        #expect(try await fleet.ask("POST", "\(fleet.ops)/v1/blobs", step).status == 201)
        #expect(try await fleet.push("digits", task).status == 201)
        mixed = try await fleet.waitForCompletion("digits", within: .seconds(80))
        #expect(mixed?.specification.model.step?.bytes == step.count)
        #expect(trainers(of: "digits", capture) == expected)
        let descriptor = try #require(
          capture.heard.compactMap { $0.topic.hasSuffix("north/tasks/digits") ? $0.decode(TaskDescriptor.self) : nil }.last)
        #expect(descriptor.model.step == TrainingStep(blob: Digest(of: step), bytes: step.count))
      }
      let records = try [alone, mixed].map { try #require($0?.rounds.last) }
      let accuracy = try records.map { try #require($0.metrics?["accuracy"]) }
      #expect(accuracy[0] > 0.9 && abs(accuracy[0] - accuracy[1]) <= 0.01, "alone \(accuracy[0]), mixed \(accuracy[1])")
      let losses = try records.map { try #require($0.deviceMetrics?["loss"]) }
      #expect(abs(losses[0] - losses[1]) < 0.01, "the devices' own losses: \(losses)")
      print("mixed fleet: accuracy alone \(accuracy[0]), mixed \(accuracy[1]); the devices' losses \(losses)")
    }

    private func mixedTask(_ fleet: Fleet) throws -> TaskSpecification {
      var task = try fleet.task(rounds: 5, epochs: 3, evaluate: EvaluationSpecification(every: 1, devices: true, seconds: 20))
      // Sums in single precision differ in the last bit between trainers. With most seeds, some unit is so near to 0 that a ReLU passes it
      // in one trainer and not in another, and the models diverge (docs/trainers.md, Traps).
      task.local.seed = 9
      return task
    }
  }
}

/// Software that a mixed fleet needs in addition to Muster's programs.
private enum MixedFleet {
  static let library = ProcessInfo.processInfo.environment["MUSTER_ONNXRUNTIME"].flatMap { access($0, R_OK) == 0 ? $0 : nil }
  static let python = ProcessInfo.processInfo.environment["MUSTER_PYTHON"]
}
