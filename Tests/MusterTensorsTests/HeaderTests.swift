import MusterTensors
import TestSupport
import Testing

/// The bytes of a file with this JSON as its header and `data` bytes of data.
func file(_ json: String, data: Int = 0) -> [UInt8] {
  file(Array(json.utf8), data: data)
}

func file(_ json: [UInt8], data: Int = 0) -> [UInt8] {
  withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json + [UInt8](repeating: 0, count: data)
}

@Suite("The header of a safetensors file")
struct HeaderTests {
  @Test("A header tells names, dtypes, shapes, places and metadata, in the order of the data")
  func reads() throws {
    let bytes = file(
      """
      {"b":{"dtype":"I64","shape":[],"data_offsets":[8,16]},
       "__metadata__":{"format":"pt","näme \\u00e9\\ud83d\\ude00":"a\\"b\\\\c\\n"},
       "a":{"shape":[2, 1],"data_offsets":[0,8],"dtype":"F32"},"none":{"dtype":"U8","shape":[0,7],"data_offsets":[8,8]}}
      """, data: 16)
    let header = try SafetensorsHeader(parsing: bytes)
    #expect(header.tensors.map(\.name) == ["a", "none", "b"])
    #expect(header.tensors.map(\.shape) == [[2, 1], [0, 7], []])
    #expect(header.tensors.map(\.dtype) == [.f32, .u8, .i64])
    #expect(header.tensors.map(\.byteRange) == [0..<8, 8..<8, 8..<16])
    #expect(header.tensors.map(\.elementCount) == [2, 0, 1])
    #expect(header.metadata == ["format": "pt", "näme é😀": "a\"b\\c\n"])
    #expect(header.fileByteCount == bytes.count)
    #expect(try header.tensor(named: "b").byteRange == 8..<16)
    #expect(throws: SafetensorsError.noSuchTensor("c")) { try header.tensor(named: "c") }
  }

  @Test("A header can be checked before its data is there")
  func readsAhead() throws {
    let bytes = file("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}")
    let header = try bytes.withUnsafeBytes { try SafetensorsHeader(parsing: $0, fileByteCount: bytes.count + 8) }
    #expect(header.dataByteCount == 8)
  }

  @Test("A file without tensors is a file")
  func empty() throws {
    #expect(try SafetensorsHeader(parsing: file("{}")).tensors.isEmpty)
    #expect(try SafetensorsHeader(parsing: file("{\"__metadata__\":{}}    ")).metadata.isEmpty)
  }

  @Test(
    "JSON that is no safetensors header is refused, with the place and the reason",
    arguments: [
      ("", "begin with {"), (" {}", "begin with {"), ("[]", "begin with {"), ("{", "in quotes"), ("{}x", "text after the object"),
      ("{\"a\"}", "expected :"), ("{\"a\":1}", "expected {"), ("{\"a\":{}}", "no dtype"), ("{\"a\":{},}", "no dtype"),
      ("{\"a", "does not end"), ("{\"a\\", "does not end"), ("{\"a\\x\":1}", "unknown escape"), ("{\"a\\u12g4\":1}", "hexadecimal"),
      ("{\"\\ud800\":1}", "surrogate"), ("{\"\\ud800\\u0041\":1}", "surrogate"), ("{\"\\udc00\":1}", "surrogate"),
      ("{\"a\nb\":1}", "control character"), ("{\"\\t\nb\":1}", "control character"),
      ("{\"__metadata__\":null}", "expected {"), ("{\"__metadata__\":{\"a\":1}}", "a string (every value"),
      ("{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", "a string (every value"), ("{\"__metadata__\":[]}", "expected {"),
      ("{\"a\":{\"dtype\":32}}", "dtype's name"), ("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", "no shape"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", "two data_offsets"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0]}}", "two data_offsets"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4,8]}}", "more than 2"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", "not negative"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", "expected a whole number"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[1e9],\"data_offsets\":[0,4]}}", "expected a whole number"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]}}", "begins with 0"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,4]}}", "does not fit"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,],\"data_offsets\":[0,4]}}", "expected a whole number"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", "expected a whole number"),
      ("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", "dtype twice"), ("{\"a\":{\"strides\":[1]}}", "unknown field"),
    ])
  func malformed(json: String, reason: String) {
    let error = #expect(throws: SafetensorsError.self) { try SafetensorsHeader(parsing: file(json)) }
    if case .malformed = error {} else { Issue.record("\(json) gave \(String(describing: error))") }
    #expect("\(error.map(String.init(describing:)) ?? "")".contains(reason))
  }

  @Test("A name that is not UTF-8 is refused")
  func badUTF8() {
    #expect(throws: SafetensorsError.malformed(offset: 4, reason: "a string is not UTF-8")) {
      try SafetensorsHeader(parsing: file([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a]))
    }
  }

  @Test("Lengths that cannot be true are refused")
  func lengths() {
    #expect(throws: SafetensorsError.tooShort(bytes: 7)) { try SafetensorsHeader(parsing: [UInt8](repeating: 0, count: 7)) }
    #expect(throws: SafetensorsError.headerTooLong(bytes: .max, limit: SafetensorsHeader.defaultMaximumLength)) {
      try SafetensorsHeader(parsing: [UInt8](repeating: 255, count: 8))
    }
    #expect(throws: SafetensorsError.headerTooLong(bytes: .max, limit: SafetensorsHeader.absoluteMaximumLength)) {
      try SafetensorsHeader(parsing: [UInt8](repeating: 255, count: 8), maximumLength: .max)
    }
    #expect(throws: SafetensorsError.headerTooLong(bytes: 2, limit: 1)) {
      try SafetensorsHeader(parsing: file("{}"), maximumLength: 1)
    }
    #expect(throws: SafetensorsError.headerTooLong(bytes: 2, limit: -5)) {
      try SafetensorsHeader(parsing: file("{}"), maximumLength: -5)
    }
    #expect(throws: SafetensorsError.headerTruncated(bytes: 2, available: 1)) {
      try SafetensorsHeader(parsing: file("{}").dropLast())
    }
  }

  @Test("Tensors whose numbers contradict each other are refused")
  func contradictions() {
    func tensor(_ name: String, _ dtype: String, _ shape: String, _ begin: Int, _ end: Int) -> String {
      "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
    }
    func check(_ tensors: [String], data: Int, _ expected: SafetensorsError) {
      #expect(throws: expected) { try SafetensorsHeader(parsing: file("{\(tensors.joined(separator: ","))}", data: data)) }
    }
    check([tensor("a", "F8_E4M3", "[1]", 0, 1)], data: 1, .unknownDType(tensor: "a", dtype: "F8_E4M3"))
    check([tensor("a", "f32", "[1]", 0, 4)], data: 4, .unknownDType(tensor: "a", dtype: "f32"))
    check(
      [tensor("a", "F32", "[4294967296,4294967296]", 0, 4)], data: 4,
      .invalidShape(tensor: "a", reason: "is too large: its size overflows"))
    check(
      [tensor("a", "F64", "[1152921504606846976]", 0, 0)], data: 0,
      .invalidShape(tensor: "a", reason: "is too large: its size overflows"))
    check([tensor("a", "F32", "[2]", 0, 4)], data: 4, .sizeMismatch(tensor: "a", expected: 8, found: 4))
    check([tensor("a", "F32", "[]", 0, 8)], data: 8, .sizeMismatch(tensor: "a", expected: 4, found: 8))
    check([tensor("a", "F32", "[1]", 4, 0)], data: 4, .invalidOffsets(tensor: "a", begin: 4, end: 0, dataBytes: 4))
    check([tensor("a", "F32", "[2]", 0, 8)], data: 7, .invalidOffsets(tensor: "a", begin: 0, end: 8, dataBytes: 7))
    check([tensor("a", "F32", "[1]", 0, .max)], data: 4, .invalidOffsets(tensor: "a", begin: 0, end: .max, dataBytes: 4))
    check([tensor("a", "F32", "[1]", 0, 4), tensor("b", "F32", "[1]", 2, 6)], data: 6, .overlap(tensor: "b", with: "a"))
    check([tensor("a", "F32", "[1]", 0, 4), tensor("b", "F32", "[1]", 0, 4)], data: 4, .overlap(tensor: "b", with: "a"))
    check([tensor("a", "F32", "[1]", 0, 4), tensor("b", "U8", "[0]", 2, 2)], data: 4, .overlap(tensor: "b", with: "a"))
    check([tensor("a", "F32", "[1]", 4, 8)], data: 8, .gap(before: "a", bytes: 4))
    check([tensor("a", "F32", "[1]", 0, 4), tensor("b", "F32", "[1]", 5, 9)], data: 9, .gap(before: "b", bytes: 1))
    check([tensor("a", "F32", "[1]", 0, 4)], data: 5, .dataNotCovered(expected: 4, found: 5))
    check([], data: 3, .dataNotCovered(expected: 0, found: 3))
    check([tensor("a", "F32", "[1]", 0, 4), tensor("a", "F32", "[1]", 4, 8)], data: 8, .duplicateName("a"))
    check(["\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}"], data: 0, .duplicateName("k"))
    check(["\"__metadata__\":{}", "\"__metadata__\":{}"], data: 0, .duplicateName("__metadata__"))
    let deep = "[" + Array(repeating: "1", count: 65).joined(separator: ",") + "]"
    #expect(throws: SafetensorsError.self) { try SafetensorsHeader(parsing: file("{\(tensor("a", "U8", deep, 0, 1))}", data: 1)) }
  }

  @Test("What would take time that grows with the square of its length is refused: long names, and texts of combining marks")
  func slowTexts() throws {
    let long = String(repeating: "n", count: 1025)
    let marks = "a" + String(repeating: "\u{301}\u{316}", count: 1_000_000)
    for json in [
      #"{"\#(long)":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#, #"{"\#(marks)":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#,
      #"{"a":{"\#(marks)":"F32","shape":[0],"data_offsets":[0,0]}}"#, #"{"a":{"dtype":"\#(marks)","shape":[0],"data_offsets":[0,0]}}"#,
      #"{"__metadata__":{"\#(marks)":"x"}}"#, #"{"__metadata__":{"muster.encoding":"\#(marks)"}}"#,
      #"{"__metadata__":{"muster.encoding":"\#(String(repeating: "\\u0301", count: 100_000))"}}"#,
    ] {
      #expect(throws: SafetensorsError.self) { try SafetensorsHeader(parsing: file(json)) }
    }
    // A name of the maximum length can be written and read.
    let name = String(long.dropLast())
    let bytes = try SafetensorsHeader(
      tensors: [TensorDescription(name: name, dtype: .f32, shape: [0])], metadata: ["k": String(repeating: "ü", count: 2048), "l": long]
    ).encoded()
    #expect(try SafetensorsHeader(parsing: bytes).tensors.map(\.name) == [name])
    #expect(throws: SafetensorsError.self) {
      try SafetensorsHeader(tensors: [TensorDescription(name: long, dtype: .f32, shape: [0])])
    }
  }

  @Test("Names from a file are shortened and escaped in messages")
  func messages() {
    let error = SafetensorsError.noSuchTensor("a\n\u{1b}[31m" + String(repeating: "x", count: 1000))
    #expect(error.description.count < 150)
    #expect(!error.description.contains("\n") && !error.description.contains("\u{1b}"))
  }

  @Test("Damaged headers give errors, whatever the damage")
  func mutations() throws {
    let valid = file(
      """
      {"__metadata__":{"muster.task":"t\\u0041\\n"},"conv1.weight":{"dtype":"F32","shape":[6,1,3,3],"data_offsets":[0,216]},\
      "n":{"dtype":"I64","shape":[],"data_offsets":[216,224]},"é":{"dtype":"BF16","shape":[2,0],"data_offsets":[224,224]}}
      """, data: 224)
    let header = try SafetensorsHeader(parsing: valid)
    let length = valid.count - 224
    var random = SeededGenerator(seed: 7)
    var refused = 0
    for _ in 0..<20_000 {
      var bytes = valid
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<length, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[place] = Array("{}[]\",:\\u0019-".utf8).randomElement(using: &random) ?? 0
        case 2: bytes[place] = bytes[Int.random(in: 8..<length, using: &random)]
        default: bytes.removeSubrange(place..<min(length, place + Int.random(in: 1...30, using: &random)))
        }
      }
      do {
        let other = try SafetensorsHeader(parsing: bytes)
        #expect(other.fileByteCount == bytes.count)
        #expect(other.tensors.count <= header.tensors.count)
      } catch { refused += 1 }
    }
    #expect(refused > 15_000)
  }
}
