import FoundationEssentials
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct WrongPushTests {
    @Test("What is wrong with a pushed task is said by field, and nothing of it is kept", .timeLimit(.minutes(1)))
    func wrongTasks() async throws {
      var plan = FleetPlan()
      plan.devices = 2
      try await withFleet(plan) { fleet in
        let right = try JSON.decode([String: Loose].self, from: JSON.encode(try fleet.task(rounds: 1)))
        func with(_ field: String, _ value: Loose) throws -> [UInt8] { try JSON.encode(right.merging([field: value]) { $1 }) }
        let text = Array("name: digits".utf8)
        #expect(try await fleet.ask("POST", "\(fleet.ops)/v1/blobs", text).status == 201)
        let wrong: [(body: [UInt8], status: Int, words: [String])] = [
          (
            try with("initial", .object(["blob": .text("\(Digest(of: text))")])), 422,
            ["initial.blob", "cannot be the first model", "safetensors"]
          ),
          (try with("stop", .object(["metric": .text("speed"), "patience": .number(1)])), 422, ["stop.mode", "speed", "min", "max"]),
          (try with("local", .object(["options": .text("x")])), 422, ["local.options", "object"]),
          (Array("{\"name\": \"digits\", rounds".utf8), 422, ["JSON"]),
          (Array("".utf8), 422, []),
          (Array("[1, 2]".utf8), 422, ["object"]),
          (Array(repeating: UInt8(ascii: "["), count: 100_000), 422, []),
          (Array("{}".utf8), 422, ["name", "missing"]),
          ([0xff, 0xfe, 0x00], 422, []),
          ([UInt8](repeating: UInt8(ascii: " "), count: 300_000), 413, []),
          (try with("rounds", .number(0)), 422, ["rounds", "between 1 and"]),
          (try with("rounds", .text("many")), 422, ["rounds", "number"]),
          (try with("strategy", .text("fedmagic")), 422, ["strategy", "fedmagic", "fedavg"]),
          (try with("strategy", .object(["combiner": .text("vote")])), 422, ["strategy", "vote"]),
          (try with("regions", .list([.text("west")])), 422, ["regions", "west", "north, south"]),
          (try with("regions", .list([.text("north/#")])), 422, ["regions", "north/#"]),
          (try with("regions", .list([])), 422, ["regions"]),
          (try with("rouds", .number(3)), 422, ["rouds"]),
          (try with("cohort", .object(["size": .number(2), "minimum": .number(3)])), 422, ["cohort.minimum"]),
          (try with("cohort", .object(["size": .number(2), "sze": .number(3)])), 422, ["sze"]),
          (try with("local", .object(["epochs": .number(-1)])), 422, ["local.epochs"]),
          (try with("trainer", .text("magic")), 422, ["trainer", "magic", "built-in"]),
          (try with("where", .text("arch=x86_64,=lab")), 422, ["where"]),
          (try with("upload", .text("nowhere")), 422, ["upload"]),
          (try with("encoding", .text("morse")), 422, ["encoding", "morse"]),
          (try with("initial", .object(["blob": .text("sha256:\(String(repeating: "0", count: 64))")])), 422, ["initial.blob"]),
          (try with("name", .text(String(repeating: "x", count: 5000))), 422, ["name"]),
          (try with("validSeconds", .number(0)), 422, ["validSeconds"]),
        ]
        for (index, (body, status, words)) in wrong.enumerated() {
          let answer = try await fleet.ask("PUT", "\(fleet.ops)/v1/tasks/wrong-\(index)", body)
          let shown = String(decoding: body.prefix(80), as: UTF8.self)
          #expect(answer.status == status, "\(shown): \(answer.status) \(answer.text.prefix(300))")
          for word in words { #expect(answer.text.contains(word), "\(shown): \(answer.text.prefix(300))") }
          #expect(answer.problem.map { !$0.title.isEmpty && !$0.detail.isEmpty } == true, "\(shown)")
        }
        for id in ["a%2Fb", "a%23b", "A", "-a", "a+b", "%00", "..", String(repeating: "a", count: 64)] {
          let answer = try await fleet.ask("PUT", "\(fleet.ops)/v1/tasks/\(id)", try JSON.encode(right))
          #expect([400, 404, 422].contains(answer.status), "\(id): \(answer.status) \(answer.text)")
        }
        for path in ["nothing", "nothing/why", "nothing/models", "a%23/why"] {
          let answer = try await fleet.ask("GET", "\(fleet.ops)/v1/tasks/\(path)")
          #expect([400, 404, 422].contains(answer.status), "\(path): \(answer.status)")
        }
        #expect(try await fleet.ask("POST", "\(fleet.ops)/v1/tasks/nothing/cancel").status == 404)
        let blob = try await fleet.ask("GET", "\(fleet.data)/v1/blobs/sha256:\(String(repeating: "0", count: 64))")
        #expect(blob.status == 404 && blob.text.contains("no blob"))

        let yaml = Array("name: digits\nmodel: {type: lenet5}\nregions: [north, west]\nrounds: 0\ncohort: {size: 2}\n".utf8)
        for ops in [fleet.ops, fleet.ops(of: "north")] {
          let refused = try await fleet.ask("PUT", "\(ops)/v1/tasks/yaml", yaml, contentType: "application/yaml; charset=utf-8")
          let places = refused.problem?.problems?.map { "\($0.field) \($0.line ?? 0):\($0.column ?? 0)" }
          #expect(refused.status == 422 && places?.contains("rounds 4:1") == true && places?.contains("regions 3:1") == true, "\(refused)")
        }
        #expect(try await fleet.http.get([TaskSummary].self, from: "\(fleet.ops)/v1/tasks").isEmpty)
        #expect(try await fleet.retained().keys.contains { $0.contains("/tasks/") } == false)
        #expect(try await fleet.ask("PUT", "\(fleet.ops)/v1/tasks/right", try JSON.encode(right)).status == 201)
        try await fleet.waitForCompletion("right")
      }
    }

    @Test("The command line says in which line of a task file the mistake is, and exits with 2 or 3", .timeLimit(.minutes(1)))
    func wrongFiles() async throws {
      var plan = FleetPlan()
      plan.devices = 1
      plan.regions = ["north"]
      try await withFleet(plan) { fleet in
        let right = """
          name: digits
          model: {type: lenet5, input: [1, 8, 8], classes: 10}
          regions: [north]
          rounds: 1
          cohort: {size: 1}

          """
        let wrong: [(text: String, arguments: [String], status: Int32, words: [String])] = [
          (right + "local: {epochs: 1\nstrategy: fedavg\n", [], 2, [":7:"]),
          (right + "\tstrategy: fedavg\n", [], 2, [":6:"]),
          (right + "rouds: 3\n", [], 2, [":6:", "rouds"]),
          (right.replacing("rounds: 1", with: "rounds: 0"), [], 2, [":4:", "rounds"]),
          (right.replacing("rounds: 1", with: "rounds: many"), [], 2, [":4:", "rounds"]),
          (right.replacing("[north]", with: "[north/#]"), [], 2, [":3:", "north/#"]),
          (right + "name: again\n", [], 2, ["name"]),
          (right + "strategy: fedmagic\n", [], 3, ["strategy", "fedmagic"]),
          (right.replacing("[north]", with: "[west]"), [], 3, ["regions", "west", "north"]),
          (right, ["--id", "a/b"], 2, ["a/b"]), (right, ["--id", "a#"], 2, ["a#"]), (right, ["--region", "North"], 2, ["North"]),
          (right, ["--central", "http://127.0.0.1:\(try freePort())"], 4, ["does not answer", "--central", "Repeat the push with --id"]),
          (right.replacing("size: ", with: "minimum: 9000, size: 900"), ["--dry-run"], 3, ["but a round needs 9000"]),
        ]
        for (text, arguments, status, words) in wrong {
          let file = try fleet.folder.write(text, to: "task.yaml")
          let (found, output) = try await fleet.muster(["task", "push", file] + arguments)
          #expect(found == status, "\(text.suffix(40)) \(arguments): \(found) \(output)")
          for word in words { #expect(output.contains(word), "\(text.suffix(40)) \(arguments): \(output)") }
        }
        #expect(try await fleet.muster(["task", "push", "/nowhere.yaml"]).status == 2)
        #expect(try await fleet.http.get([TaskSummary].self, from: "\(fleet.ops)/v1/tasks").isEmpty)

        let file = try fleet.folder.write(right, to: "task.yaml")
        let pushed = try await fleet.muster(["task", "push", file, "--id", "right", "--watch"])
        #expect(pushed.status == 0, "\(pushed.output)")
        #expect(try await fleet.detail("right").summary.step == .completed)

        // The same file with the id of a cancelled task starts nothing, and the command does not report success.
        let long = try fleet.folder.write(right.replacing("rounds: 1", with: "rounds: 1000"), to: "long.yaml")
        #expect(try await fleet.muster(["task", "push", long, "--id", "long"]).status == 0)
        #expect(try await fleet.muster(["task", "cancel", "long"]).status == 0)
        let again = try await fleet.muster(["task", "push", long, "--id", "long"])
        #expect(again.status == 3 && again.output.contains("already exists and is cancelled"), "\(again)")
      }
    }

    @Test("A dry run asks what the devices' owners allow, and says how large the descriptor is", .timeLimit(.minutes(1)))
    func ownersPolicy() async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north"], 3)
      try await withFleet(plan, starting: false) { fleet in
        let policies = ["pi-1": #""minDiskMiB": 900000000"#, "pi-2": #""uploadHosts": ["hub.example"]"#]
        for (device, policy) in policies {
          let path = fleet.places.configuration(device)
          let text = try String(contentsOfFile: path, encoding: .utf8)
          #expect(text.contains("\"policy\": {"))
          try text.replacing("\"policy\": {", with: "\"policy\": {\(policy), ").write(toFile: path, atomically: true, encoding: .utf8)
        }
        try await fleet.broker.start()
        for name in fleet.names { try fleet.start(name) }
        try await fleet.waitForDevices(3)
        let file = try fleet.folder.write(
          "name: digits\nmodel: {type: lenet5, input: [1, 8, 8], classes: 10}\nregions: [north]\nrounds: 1\ncohort: {size: 1}\n",
          to: "task.yaml")
        let (status, output) = try await fleet.muster(["task", "push", file, "--dry-run"])
        #expect(status == 0 && output.contains("1 device would take part"), "\(output)")
        #expect(output.contains(/pi-1 +no +only \d+ MiB of disk space are free, but jobs need 900000000 MiB/), "\(output)")
        #expect(output.contains(/pi-2 +no +the device's owner does not allow uploads to 127.0.0.1/), "\(output)")
        #expect(output.contains(/north\/pi-3 +yes/) && output.contains(/the descriptor takes \d\d\d of 4096 bytes/), "\(output)")
        // The devices themselves give the same reasons.
        #expect(try await fleet.push("digits", try fleet.task(rounds: 1)).status == 201)
        #expect(
          try await eventually {
            let why = try await fleet.why("digits").sentence
            return why.contains("1 ready, 3 needed: north/pi-1 (") && why.contains("north/pi-2 (the device's owner does not allow uploads")
          })
      }
    }

    /// Any JSON value, which tests can change.
    private enum Loose: Codable {
      case number(Double)
      case text(String)
      case flag(Bool)
      case list([Loose])
      case object([String: Loose])

      init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode(Bool.self) {
          self = .flag(value)
        } else if let value = try? container.decode(Double.self) {
          self = .number(value)
        } else if let value = try? container.decode(String.self) {
          self = .text(value)
        } else if let value = try? container.decode([Loose].self) {
          self = .list(value)
        } else {
          self = .object(try container.decode([String: Loose].self))
        }
      }

      func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .number(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .flag(let value): try container.encode(value)
        case .list(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
      }
    }
  }
}
