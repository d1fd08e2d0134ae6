import MusterSchema
import Testing

private let minimal = #"{"name":"digits","model":{"type":"softmax"},"regions":["north"],"rounds":3,"cohort":{"size":2}}"#

private func read(_ json: String) throws(FieldProblem.List) -> TaskSpecification { try TaskSpecification(strictJSON: Array(json.utf8)) }

private func problem(_ json: String) -> String? {
  do throws(FieldProblem.List) {
    _ = try read(json)
    return nil
  } catch {
    return error.description
  }
}

@Suite("The task file")
struct SpecificationTests {
  @Test("the shortest task has every default")
  func defaults() throws {
    let task = try read(minimal)
    #expect(
      task
        == TaskSpecification(
          name: "digits", model: ModelSpecification(type: "softmax"), regions: [NodeID(unchecked: "north")], rounds: 3,
          cohort: CohortSpecification(size: 2)))
    #expect(task.cohort.minimum == 2 && task.initial == .seed(1) && task.validSeconds == 86_400 && task.maxAttempts == 5)
    #expect(task.problems() == [])
  }

  @Test("the documented example is read as it stands, and again from its own JSON")
  func example() throws {
    let task = try read(
      """
      {"name":"digits","model":{"type":"lenet5","input":[1,8,8],"classes":10},"initial":{"seed":1},"trainer":"built-in",
      "regions":["north","south"],"where":"arch=x86_64","requires":{"memoryMiB":256,"maxLoad":2.0},"rounds":10,
      "cohort":{"size":8,"minimum":6,"ready":0.5,"over":1.0,"seconds":60},
      "local":{"epochs":5,"batch":8,"rate":0.1,"momentum":0,"weightDecay":0,"proximal":0,"seed":1},"strategy":"fedavg",
      "evaluate":{"every":1,"devices":true,"seconds":30},"stop":{"metric":"accuracy","at":0.98,"patience":5},"upload":"central",
      "encoding":"float32","shared":["*"],"maximumWeight":100000,"keep":{"updates":2,"checkpoints":5},"maxAttempts":5,"validSeconds":86400}
      """)
    #expect(task.problems() == [])
    #expect(task.cohort == CohortSpecification(size: 8, minimum: 6, ready: 0.5, over: 1, seconds: 60))
    let bytes = try JSON.encode(task)
    #expect(try TaskSpecification(strictJSON: bytes) == task)
    #expect(try JSON.encode(try TaskSpecification(strictJSON: bytes)) == bytes)
  }

  @Test(
    "a field that does not exist is named, and so is what exists there",
    arguments: [
      ("\"rounds\":3", "\"rounds\":3,\"round\":3", "round: unknown field", "rounds"),
      ("\"size\":2", "\"size\":2,\"min\":1", "cohort.min: unknown field", "minimum"),
      ("\"rounds\":3", "\"rounds\":3,\"evaluate\":{\"device\":true}", "evaluate.device: unknown field", "devices"),
      ("\"rounds\":3", "\"rounds\":3,\"local\":{\"lr\":1}", "local.lr: unknown field", "rate"),
      ("\"type\":\"softmax\"", "\"type\":\"softmax\",\"layers\":2", "model.layers: unknown field", "hidden"),
      ("\"rounds\":3", "\"rounds\":3,\"strategy\":{\"filter\":[]}", "strategy.filter: unknown field", "filters"),
      ("\"rounds\":3", "\"rounds\":3,\"stop\":{\"metric\":\"loss\",\"after\":1}", "stop.after: unknown field", "patience"),
      ("\"rounds\":3", "\"rounds\":3,\"keep\":{\"models\":1}", "keep.models: unknown field", "checkpoints"),
      ("\"rounds\":3", "\"rounds\":3,\"requires\":{\"memory\":1}", "requires.memory: unknown field", "memoryMiB"),
      ("\"rounds\":3", "\"rounds\":3,\"initial\":{\"file\":1}", "initial.file: unknown field", "blob"),
    ])
  func unknownFields(field: String, replacement: String, message: String, known: String) throws {
    let json = try #require(minimal.replacing(field, with: replacement))
    let text = try #require(problem(json))
    #expect(text.contains(message) && text.contains(known), "\(text)")
  }

  @Test(
    "what cannot be read is said where it stands",
    arguments: [
      ("\"rounds\":3", "\"rounds\":\"3\"", "rounds: expected a whole number"),
      ("\"rounds\":3", "\"rounds\":2.5", "rounds: expected a whole number"),
      ("\"name\":\"digits\",", "", "name: is missing"), ("{\"size\":2}", "{}", "cohort.size: is missing"),
      ("[\"north\"]", "[\"north\",\"No\"]", "regions[1]: node id \"No\""), ("[\"north\"]", "\"north\"", "regions: expected a list"),
      ("\"rounds\":3", "\"rounds\":3,\"initial\":{\"seed\":1,\"blob\":\"sha256:00\"}", "initial"),
      ("\"rounds\":3", "\"rounds\":3,\"initial\":{}", "either {seed: N} or {blob: sha256:…}"),
      ("\"rounds\":3", "\"rounds\":3,\"upload\":\"both\"", "upload"),
      ("\"rounds\":3", "\"rounds\":3,\"initial\":{\"seed\":-1}", "initial.seed: expected a whole number, 0 or more"),
      ("{\"name\"", "[{\"name\"", ""), ("\"rounds\":3", "\"rounds\":1e400", "rounds"),
    ])
  func unreadable(field: String, replacement: String, message: String) throws {
    let json = try #require(minimal.replacing(field, with: replacement))
    let text = try #require(problem(json))
    #expect(text.contains(message), "\(text)")
  }

  private static let cases: [(field: String, change: @Sendable (inout TaskSpecification) -> Void)] = [
    ("name", { $0.name = "" }), ("name", { $0.name = "a\u{1b}b" }), ("name", { $0.name = String(repeating: "a", count: 101) }),
    ("model.type", { $0.model.type = "" }), ("model.input", { $0.model.input = [] }), ("model.input", { $0.model.input = [1, 0] }),
    ("model.classes", { $0.model.classes = 1 }), ("model.hidden", { $0.model.hidden = [-1] }),
    ("model.hidden", { $0.model.hidden = Array(repeating: 1, count: 33) }), ("trainer", { $0.trainer = "" }),
    ("regions", { $0.regions = [] }),
    ("regions", { $0.regions += $0.regions }), ("regions", { $0.regions.append(.central) }), ("where", { $0.where = "a=" }),
    ("requires.maxLoad", { $0.requires = Requirements(maxLoad: -.infinity) }),
    ("requires.minBattery", { $0.requires = Requirements(minBattery: 101) }),
    ("requires.memoryMiB", { $0.requires = Requirements(memoryMiB: -1) }),
    ("requires.diskMiB", { $0.requires = Requirements(diskMiB: -1) }),
    ("requires.cores", { $0.requires = Requirements(cores: -1) }), ("rounds", { $0.rounds = 0 }), ("rounds", { $0.rounds = 100_001 }),
    ("cohort.size", { $0.cohort = CohortSpecification(size: 0, minimum: 1) }), ("cohort.minimum", { $0.cohort.minimum = 0 }),
    ("cohort.minimum", { $0.cohort.minimum = 3 }), ("cohort.ready", { $0.cohort.ready = 1.1 }),
    ("cohort.ready", { $0.cohort.ready = .nan }),
    ("cohort.over", { $0.cohort.over = 0.9 }), ("cohort.seconds", { $0.cohort.seconds = 0 }), ("local.epochs", { $0.local.epochs = -1 }),
    ("local.batch", { $0.local.batch = 0 }), ("local.rate", { $0.local.rate = .nan }), ("local.momentum", { $0.local.momentum = 1 }),
    ("local.weightDecay", { $0.local.weightDecay = -1 }), ("local.proximal", { $0.local.proximal = .infinity }),
    ("evaluate.every", { $0.evaluate.every = -1 }), ("evaluate.seconds", { $0.evaluate.seconds = 0 }),
    ("stop.metric", { $0.stop = StopSpecification(metric: "", at: 1) }), ("stop", { $0.stop = StopSpecification(metric: "loss") }),
    ("stop.patience", { $0.stop = StopSpecification(metric: "loss", patience: 0) }),
    ("stop.mode", { $0.stop = StopSpecification(metric: "loss_reduction", at: 1) }),
    ("stop.at", { $0.stop = StopSpecification(metric: "loss", at: .nan) }),
    (
      "stop",
      {
        $0.evaluate.every = 0
        $0.stop = StopSpecification(metric: "loss", at: 1)
      }
    ), ("shared", { $0.shared = [] }),
    ("maximumWeight", { $0.maximumWeight = 0 }), ("keep.updates", { $0.keep.updates = -1 }),
    ("keep.checkpoints", { $0.keep.checkpoints = 0 }),
    ("maxAttempts", { $0.maxAttempts = 0 }), ("validSeconds", { $0.validSeconds = .nan }),
  ]

  @Test("every field that is wrong is named", arguments: Self.cases.indices)
  func fieldProblems(index: Int) throws {
    var task = try read(minimal)
    Self.cases[index].change(&task)
    #expect(task.problems().map(\.field) == [Self.cases[index].field])
  }

  @Test("all that is wrong is said at once, in the order of the file")
  func allProblems() throws {
    var task = try read(minimal)
    (task.name, task.rounds, task.maxAttempts) = ("", 0, 0)
    #expect(task.problems().map(\.field) == ["name", "rounds", "maxAttempts"])
    #expect(FieldProblem.List(task.problems()).description.contains("rounds: must be between 1 and 100000, got 0; "))
  }
}

extension String {
  /// The string with one occurrence replaced; `nil` unless it occurs exactly once.
  fileprivate func replacing(_ part: String, with other: String) -> String? {
    let pieces = split(separator: part, maxSplits: 2, omittingEmptySubsequences: false)
    return pieces.count == 2 ? pieces[0] + other + pieces[1] : nil
  }
}

@Suite("Strategies and selectors")
struct StrategyAndSelectorTests {
  @Test(
    "a strategy is a name or a composition, and is written as it was read",
    arguments: [
      (#""fedavg""#, StrategySpecification.named("fedavg"), #""fedavg""#),
      ("{}", .composed(filters: [], combiner: .init("mean"), optimizer: .init("replace")), #"{"combiner":"mean","optimizer":"replace"}"#),
      (
        #"{"filters":[{"clip":1.0},"finite"],"combiner":{"trimmedMean":{"beta":0.2}},"optimizer":{"adam":{"rate":0.01,"beta1":0.9}}}"#,
        .composed(
          filters: [.init("clip", ["value": 1]), .init("finite")], combiner: .init("trimmedMean", ["beta": 0.2]),
          optimizer: .init("adam", ["rate": 0.01, "beta1": 0.9])),
        #"{"combiner":{"trimmedMean":{"beta":0.2}},"filters":[{"clip":1},"finite"],"optimizer":{"adam":{"beta1":0.9,"rate":0.01}}}"#
      ),
    ])
  func strategies(json: String, strategy: StrategySpecification, written: String) throws {
    let read = try JSON.decode(StrategySpecification.self, from: Array(json.utf8))
    #expect(read == strategy)
    #expect(String(decoding: try JSON.encode(read), as: UTF8.self) == written)
  }

  @Test(
    "a step with two names, none, or a text for a number is refused",
    arguments: [
      #"{"filters":[{"clip":1,"noise":2}]}"#, #"{"filters":[{}]}"#, #"{"filters":{"clip":1}}"#, #"{"combiner":{"mean":"x"}}"#, "3", "[]",
      "null",
    ])
  func refusedStrategies(json: String) {
    #expect(throws: DecodingError.self) { try JSON.decode(StrategySpecification.self, from: Array(json.utf8)) }
  }

  @Test(
    "a selector matches labels",
    arguments: [
      ("", [:], true), ("arch=x86_64", ["arch": "x86_64"], true), ("arch=x86_64", ["arch": "arm64"], false), ("arch=x86_64", [:], false),
      ("site!=lab", ["site": "roof"], true), ("site!=lab", [:], true), ("site!=lab", ["site": "lab"], false), ("gpu", ["gpu": ""], true),
      ("gpu", [:], false), ("!battery", [:], true), ("!battery", ["battery": "yes"], false),
      (" arch = x86_64 , gpu ,, !battery ", ["arch": "x86_64", "gpu": "1"], true), ("a=b=c", ["a": "b=c"], true), ("a!=", ["a": "x"], true),
      ("a!=", ["a": ""], false), ("example.com/zone_1=a", ["example.com/zone_1": "a"], true),
    ] as [(String, [String: String], Bool)])
  func selectors(text: String, labels: [String: String], matches: Bool) throws {
    let selector = try LabelSelector(text)
    #expect(selector.matches(labels) == matches)
    #expect((selector.mismatch(labels) == nil) == matches)
  }

  @Test("what is no selector is refused", arguments: ["=", "a=", "=b", "!", "!=b", "a b", "a b=c", "!a=b", "a,=", "ä", "a\u{1b}"])
  func refusedSelectors(text: String) {
    #expect(throws: LabelSelector.ParseError.self) { try LabelSelector(text) }
  }

  @Test("a mismatch says which label and what it is")
  func mismatch() throws {
    for text in ["arch==x86_64", "arch!==x86_64", "site=lab,arch = = x"] {
      let error = #expect(throws: LabelSelector.ParseError.self) { try LabelSelector(text) }
      #expect(error?.description.contains("not one of key=value") == true)
    }
    #expect(try LabelSelector("arch=x86_64").mismatch(["arch": "arm64"]) == "label arch is arm64, the task wants x86_64")
    #expect(try LabelSelector("gpu").mismatch([:]) == "label gpu is absent")
  }
}

@Suite("Encodings in a task")
struct EncodingSpecificationTests {
  @Test(
    "a name, or top-k with its fraction, there and back",
    arguments: [
      (#""float32""#, EncodingSpecification.float32, #""float32""#), (#""float16""#, .float16, #""float16""#),
      (#""bfloat16""#, .bfloat16, #""bfloat16""#), (#""int8""#, .int8, #""int8""#), (#""topk""#, .topK(fraction: 0.05), #""topk""#),
      (#"{"topk":{}}"#, .topK(fraction: 0.05), #""topk""#),
      (#"{"topk":{"fraction":0.01}}"#, .topK(fraction: 0.01), #"{"topk":{"fraction":0.01}}"#),
      (#""morse""#, .other("morse"), #""morse""#),
    ])
  func reading(text: String, encoding: EncodingSpecification, again: String) throws {
    #expect(try JSON.decode(EncodingSpecification.self, from: Array(text.utf8)) == encoding)
    #expect(try JSON.encode(encoding) == Array(again.utf8))
  }

  @Test("an unknown one and a fraction out of range are problems of the task, and messages still pass")
  func problems() throws {
    var task = TaskSpecification(
      name: "digits", model: ModelSpecification(type: "softmax"), regions: [NodeID(unchecked: "north")], rounds: 3,
      cohort: CohortSpecification(size: 2), encoding: .other("morse"))
    #expect(task.problems().map(\.field) == ["encoding"])
    #expect(task.problems().first?.message.contains("morse") == true && task.problems().first?.message.contains("int8") == true)
    for fraction in [0, -1, 1.5, .nan] {
      task.encoding = .topK(fraction: fraction)
      #expect(task.problems().map(\.field) == ["encoding"])
    }
    task.encoding = .topK(fraction: 1)
    #expect(task.problems().isEmpty)
  }
}
