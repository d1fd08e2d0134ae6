import MusterSchema

/// What a request says in its address and its fields, a line each; `m`: an update's metadata as a JSON object; `e`: an evaluation.
func requests(_ input: ArraySlice<UInt8>) {
  let rest = input.dropFirst()
  switch input.first {
  case UInt8(ascii: "m"): metadata(rest)
  case UInt8(ascii: "e"): evaluation(rest)
  default: fields(rest, isPut: input.first == UInt8(ascii: "P"))
  }
}

private func fields(_ input: ArraySlice<UInt8>, isPut: Bool) {
  var lines = input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
  func next() -> String? { lines.popFirst().flatMap { $0.isEmpty ? nil : String(decoding: $0, as: UTF8.self) } }
  let (address, authorization, range) = (next() ?? "", next(), next())
  let (query, complete, offset, length, represented, content) = (next(), next(), next(), next(), next(), next())

  do {
    let key = try ContributionKey(address: address)
    require((try? ContributionKey(address: key.address)) == key, "an address is read as another: \(address)")
    require((0..<1_000_000_000).contains(key.round), "round \(key.round)")
  } catch {
    requireFitForLogs("\(error)")
    require([400, 404].contains(error.status), "an address is answered with \(error.status)")
  }
  if let ticket = Ticket(authorization: authorization) {
    require(ticket == Ticket(ticket.text) && "\(ticket)" == "ticket:•••", "a ticket shows itself")
  }
  for size in [0, 1, 10, Int.max] {
    if case .part(let part) = ByteRange(range, size: size) {
      require(!part.isEmpty && part.lowerBound >= 0 && part.upperBound <= size, "\(part) of \(size) bytes")
      let plain = ByteRange("bytes=\(part.lowerBound)-\(part.upperBound - 1)", size: size)
      require(plain == .part(part), "a range is read as another: \(plain)")
    }
  }
  do {
    let fields = try UploadFields(
      isPut: isPut, query: query, complete: complete, offset: offset, length: length, reprDigest: represented, contentDigest: content)
    for number in [fields.offset, fields.length] { require(number ?? 0 >= 0 && number ?? 0 < 1_000_000_000_000_000, "a wild number") }
    let again = try UploadFields(
      isPut: isPut, query: fields.digest.map { "digest=\($0)" }, complete: fields.complete.map { $0 ? "?1" : "?0" },
      offset: fields.offset.map(String.init), length: fields.length.map(String.init), reprDigest: fields.digest?.contentDigest,
      contentDigest: fields.digest?.contentDigest)
    require(again == fields, "fields are read as others: \(again), \(fields)")
  } catch {
    requireFitForLogs("\(error)")
    require(error.status == 400, "fields are answered with another status than 400")
  }
}

private func metadata(_ input: ArraySlice<UInt8>) {
  guard let metadata = try? JSON.decode([String: String].self, from: input) else { return }
  do {
    let said = try UpdateMetadata(metadata)
    require(said.weight > 0 && said.weight.isFinite && said.metrics.count <= 64, "wild metadata")
    require(said.metrics.allSatisfy { $0.value.isFinite && (1...64).contains($0.key.utf8.count) }, "wild metrics")
    var written = [
      "muster.task": said.task, "muster.round": said.round, "muster.base": "\(said.base)", "muster.weight": "\(said.weight)",
      "muster.content": said.isDelta ? "delta" : "parameters", "muster.encoding": said.encoding,
      "muster.metrics": String(decoding: try JSON.encode(said.metrics), as: UTF8.self),
    ]
    if let count = said.count { written["muster.count"] = "\(count)" }
    require(try UpdateMetadata(written) == said, "metadata is read as other: \(said)")
  } catch {
    requireFitForLogs("\(error)")
    require((error as? Problem)?.status == 422, "metadata is answered with another status than 422")
  }
}

private func evaluation(_ input: ArraySlice<UInt8>) {
  do {
    let evaluation = try JSON.decode(Evaluation.self, from: input)
    require(try JSON.decode(Evaluation.self, from: JSON.encode(evaluation)) == evaluation, "an evaluation is read as another")
    try UpdateMetadata.check(weight: evaluation.weight)
    try UpdateMetadata.check(metrics: evaluation.metrics)
  } catch {
    requireFitForLogs(JSON.explain(error, in: input))
  }
}

func requestSeeds() throws -> [[UInt8]] {
  let digest = Examples.digest
  let address = "/v1/tasks/digits/rounds/3/updates/north/pi-1"
  let lines = [
    "P\(address)\nBearer 0123abc\nbytes=0-9\ndigest=\(digest)\n?1\n0\n79016\n\(digest.contentDigest)\n\(digest.contentDigest)",
    "A\(address)\nbearer x\nbytes=-5\ndigest=sha256%3A\(digest.hexadecimal)\n?0\n1048576\n\n\n",
    "P/v1/tasks/a/rounds/0/evaluations/north\n\nbytes=3-\n\n\n\n\n\nsha-512=:AA==:, \(digest.contentDigest)",
    "G/v1/tasks/a/rounds/1/updates/..%2fx\nBasic eDp5\nbytes=1-2,4-5\na=b&digest=\n",
  ]
  let metadata = [
    "muster.task": "digits", "muster.round": "3", "muster.base": "\(digest)", "muster.weight": "120.5", "muster.count": "2",
    "muster.content": "delta", "muster.encoding": "int8", "muster.metrics": #"{"loss":0.5,"accuracy":1e-3}"#,
  ]
  let evaluation = Evaluation(base: digest, weight: 12, count: 1, metrics: ["loss": 0.25, "accuracy": 0.5])
  return lines.map { Array($0.utf8) } + [Array("m".utf8) + (try JSON.encode(metadata)), Array("e".utf8) + (try JSON.encode(evaluation))]
}
