import MusterSchema
import Testing

private let digest = Digest(of: Array("abc".utf8))

@Suite("What requests say of themselves")
struct RequestTests {
  @Test("a contribution's address is read as it was written, and nothing else is")
  func addresses() throws {
    let key = ContributionKey(
      task: TaskID(unchecked: "digits"), round: 3, phase: .train, path: NodePath(NodeID(unchecked: "north"), NodeID(unchecked: "pi-1")))
    #expect(key.address == "/v1/tasks/digits/rounds/3/updates/north/pi-1")
    #expect(try ContributionKey(address: key.address) == key)
    var evaluation = key
    evaluation.phase = .evaluate
    #expect(try ContributionKey(address: evaluation.address) == evaluation)
  }

  @Test(
    "an address with what is no identifier, round or path in it is refused",
    arguments: [
      ("/v1/tasks/../rounds/3/updates/north", 400), ("/v1/tasks/a%2fb/rounds/3/updates/north", 400),
      ("/v1/tasks/a/rounds/-1/updates/north", 400), ("/v1/tasks/a/rounds/+1/updates/north", 400),
      ("/v1/tasks/a/rounds/1234567890/updates/north", 400), ("/v1/tasks/a/rounds/٣/updates/north", 400),
      ("/v1/tasks/a/rounds//updates/north", 400), ("/v1/tasks/a/rounds/3/updates/", 400), ("/v1/tasks/a/rounds/3/updates/north/", 400),
      ("/v1/tasks/a/rounds/3/updates/..", 400), ("/v1/tasks/a/rounds/3/updates/a/b/c/d/e/f/g/h/i", 400),
      ("/v1/tasks/a/rounds/3/other/north", 404), ("/v2/tasks/a/rounds/3/updates/north", 404), ("v1/tasks/a/rounds/3/updates/north", 404),
      ("", 404),
    ])
  func wrongAddresses(_ address: String, _ status: Int) {
    let problem = #expect(throws: Problem.self) { try ContributionKey(address: address) }
    #expect(problem?.status == status)
  }

  @Test("only a bearer's ticket is one")
  func tickets() {
    #expect(Ticket(authorization: "Bearer abc")?.text == "abc")
    #expect(Ticket(authorization: "bearer a b")?.text == "a b")
    for field in [nil, "", "Bearer", "Bearer ", "Basic eDp5", "Bearer\u{301} abc", "abc"] {
      #expect(Ticket(authorization: field) == nil, "\(field ?? "none")")
    }
  }

  @Test("an upload's fields are read, and each wrong one is refused by its name")
  func uploadFields() throws {
    func fields(
      put: Bool = true, _ query: String? = nil, complete: String? = nil, offset: String? = nil, length: String? = nil,
      represented: String? = nil, content: String? = nil
    ) throws(Problem) -> UploadFields {
      try UploadFields(
        isPut: put, query: query, complete: complete, offset: offset, length: length, reprDigest: represented, contentDigest: content)
    }
    let whole = try fields(complete: "?1", offset: "0", length: "999999999999999", represented: digest.contentDigest)
    #expect(whole.complete == true && whole.offset == 0 && whole.length == 999_999_999_999_999 && whole.digest == digest)
    #expect(try fields("a=b&digest=sha256%3A\(digest.hexadecimal)").digest == digest)
    // The digest of a part is not that of the whole upload.
    #expect(try fields(complete: "?0", content: digest.contentDigest).digest == nil)
    #expect(try fields(put: false, content: digest.contentDigest).digest == nil)
    let other = Digest(of: [1])
    let wrong: [(String, () throws -> UploadFields)] = [
      ("Upload-Complete", { try fields(complete: "1") }), ("Upload-Offset", { try fields(offset: "-1") }),
      ("Upload-Offset", { try fields(offset: "+1") }), ("Upload-Offset", { try fields(offset: "1, 1") }),
      ("Upload-Length", { try fields(length: "9999999999999999") }), ("Upload-Length", { try fields(length: "") }),
      ("Upload-Length", { try fields(length: "٣") }), ("Repr-Digest", { try fields(represented: "sha-256=:AA==:") }),
      ("Content-Digest", { try fields(content: "sha-256=::") }), ("?digest=", { try fields("digest=x") }),
      ("?digest=", { try fields("digest=\(digest)&digest=\(digest)") }),
      ("differ", { try fields("digest=\(other)", content: digest.contentDigest) }),
    ]
    for (name, read) in wrong {
      let problem = #expect(throws: Problem.self) { try read() }
      #expect(problem?.status == 400 && problem?.detail.contains(name) == true, "\(name): \(problem?.detail ?? "")")
    }
  }

  @Test("an update's metadata is read, and each wrong member is refused by its name")
  func updateMetadata() throws {
    let good = [
      "muster.task": "digits", "muster.round": "3", "muster.base": "\(digest)", "muster.weight": "120.5", "muster.count": "2",
      "muster.content": "delta", "muster.encoding": "int8", "muster.metrics": #"{"loss":0.5}"#,
    ]
    let said = try UpdateMetadata(good)
    #expect(said.task == "digits" && said.round == "3" && said.base == digest && said.weight == 120.5 && said.count == 2)
    #expect(said.isDelta && said.encoding == "int8" && said.metrics == ["loss": 0.5])
    let plain = try UpdateMetadata(good.filter { ["muster.task", "muster.round", "muster.base", "muster.weight"].contains($0.key) })
    #expect(!plain.isDelta && plain.encoding == "float32" && plain.metrics.isEmpty && plain.count == nil)
    let many = "{" + (0..<65).map { "\"m\($0)\":1" }.joined(separator: ",") + "}"
    let wrong: [(String, String?, String)] = [
      ("task", nil, "muster.task"), ("base", "sha256:", "muster.base"), ("weight", "many", "muster.weight"), ("weight", "nan", "weight"),
      ("weight", "inf", "weight"), ("weight", "-0", "weight"), ("weight", "1e999", "weight"), ("count", "1.5", "muster.count"),
      ("content", "x", "muster.content"),
      ("metrics", "[1]", "muster.metrics"), ("metrics", #"{"a":"b"}"#, "muster.metrics"), ("metrics", many, "64"),
      ("metrics", #"{"\u001b":1}"#, "control"), ("metrics", #"{"":1}"#, "bytes"),
      ("metrics", String(repeating: " ", count: 70_000), "long"),
    ]
    for (name, value, word) in wrong {
      var metadata = good
      metadata["muster.\(name)"] = value
      let problem = #expect(throws: Problem.self) { try UpdateMetadata(metadata) }
      #expect(problem?.status == 422 && problem?.detail.contains(word) == true, "\(name): \(problem?.detail ?? "")")
    }
  }

  @Test("JSON that would take time that grows with the square of its length is refused")
  func slowTexts() {
    let marks = "a" + String(repeating: "\u{301}\u{316}", count: 50_000)
    for json in ["{\"\(marks)\":1}", "{\"a\":\"\(marks)\"}", "{\"a\":\"" + String(repeating: "\\u0301", count: 30_000) + "\"}"] {
      #expect(throws: FieldProblem.List.self) { try TaskSpecification(strictJSON: Array(json.utf8)) }
      #expect(throws: JSONRefusal.self) { try JSON.decode([String: Double].self, from: Array(json.utf8)) }
      let wide = json.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
      #expect(throws: JSONRefusal.self) { try JSON.decode([String: Double].self, from: wide) }
    }
    // Many short strings are accepted, and so is a long string of ASCII letters.
    let list = Array(repeating: "größe \(String(repeating: "x", count: 500))", count: 2000)
    #expect(throws: Never.self) { try JSON.decode([String].self, from: JSON.encode(list)) }
  }

  @Test("what is said of an input is short and holds no control characters, whatever was in it")
  func shortWords() {
    // One character of 4,000 bytes, and sequences that move a terminal's cursor.
    let long = "e" + String(repeating: "\u{301}", count: 1900)
    for text in [long, "muster/v1/\(long)/state", "\u{1b}[2J", "\u{9b}31m"] {
      var said: [String] = []
      do { _ = try Topic(parsing: text) } catch { said.append("\(error)") }
      do { _ = try NodePath(validating: text) } catch { said.append("\(error)") }
      do { _ = try LabelSelector("=\(text)") } catch { said.append("\(error)") }
      let json = #"{"kind":"node-status","node":"a","task":"b","state":"\#(text)"}"#.replacing("\u{1b}", with: "\\u001b")
      do { _ = try MessageCoder.decode(NodeStatus.self, from: Array(json.utf8)) } catch { said.append("\(error)") }
      do { _ = try TaskSpecification(strictJSON: Array("{\"\(text)\":1}".replacing("\u{1b}", with: "\\u001b").utf8)) } catch {
        said.append("\(error)")
      }
      #expect(said.count == 5)
      for words in said {
        #expect(words.utf8.count < 1200, "\(words.utf8.count) bytes")
        #expect(words == words.withoutControlCharacters)
      }
    }
  }
}
