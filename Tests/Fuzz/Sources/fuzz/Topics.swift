import MusterSchema

/// Everything that carries an identifier: topics, paths, ids, digests; and selectors, which devices match against their labels.
func topics(_ input: ArraySlice<UInt8>) {
  let text = String(decoding: input, as: UTF8.self)
  do {
    let topic = try Topic(parsing: text)
    require("\(topic)".isSame(as: text), "a topic is written otherwise than it was read: \(topic)")
    require(text.utf8.allSatisfy(isSafe), "a topic holds what could inject something: \(text)")
    require((try? Topic(parsing: "\(topic)")) == topic, "a topic cannot be read again")
  } catch {
    requireFitForLogs("\(error)")
  }
  do {
    let path = try NodePath(validating: text)
    require("\(path)".isSame(as: text) && (1...8).contains(path.nodes.count), "a path is written otherwise than it was read")
    require(text.utf8.allSatisfy(isSafe), "a path holds what could inject something: \(text)")
  } catch {
    requireFitForLogs("\(error)")
  }
  do {
    let id = try TaskID(validating: text)
    require(id.rawValue.isSame(as: text) && text.utf8.allSatisfy(isSafe) && !text.contains("/"), "no identifier: \(text)")
    require(NodeID(rawValue: text) != nil, "a task's id and a node's differ")
  } catch {
    requireFitForLogs("\(error)")
    require(TaskID(rawValue: text) == nil, "an identifier by one way, none by another")
  }
  if let digest = Digest(text) {
    require(Digest("\(digest)") == digest && Digest(contentDigest: digest.contentDigest) == digest, "a digest is read as another")
  }
  if let digest = Digest(contentDigest: text) {
    require(Digest(contentDigest: digest.contentDigest) == digest, "a digest is read as another")
  }
  if let grant = Grant(hexadecimal: text) { require(grant.hexadecimal.isSame(as: text), "a grant is another") }
  do {
    let selector = try LabelSelector(text)
    for labels in [[:], ["arch": "x86_64", "site": "lab"], ["gpu": ""]] {
      require(selector.matches(labels) == (selector.mismatch(labels) == nil), "a selector contradicts itself")
    }
  } catch {
    requireFitForLogs("\(error)")
  }
  let trainer = TrainerSelection(text)
  require(TrainerSelection("\(trainer)") == trainer, "a trainer is read as another: \(trainer)")
  for alternative in trainer.any { _ = alternative.admits(text) }
}

private func isSafe(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "/"): true
  default: false
  }
}

func topicSeeds() throws -> [[UInt8]] {
  let (north, pi, task) = (NodeID(unchecked: "north"), NodeID(unchecked: "pi-1"), TaskID(unchecked: "digits"))
  let topics: [Topic] = [
    .coordinatorState(.central), .task(coordinator: north, task: task), .round(coordinator: north, task: task),
    .nodeState(coordinator: north, node: pi), .nodeStatus(coordinator: north, node: pi, task: task),
    .invitation(coordinator: north, node: pi, task: task),
  ]
  let digest = Digest(of: Array("abc".utf8))
  let texts =
    topics.map(\.description) + [
      "muster/v2/north/state", "north/pi-1", "a/b/c/d/e/f/g/h", String(repeating: "a", count: 63), digest.description, digest.hexadecimal,
      digest.contentDigest, "arch=x86_64,site!=lab,gpu,!battery", "pytorch>=2.10.1+cpu",
    ]
  return texts.map { Array($0.utf8) }
}
