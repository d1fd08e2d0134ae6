/// The start of an HTTP/1.1 message, with field names in lower case.
struct HTTPHead: Sendable {
  var start: [String]
  var fields: [String: String]

  init(_ bytes: [UInt8]) {
    let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
    start = (lines.first ?? "").split(separator: " ", maxSplits: 2).map(String.init)
    fields = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      fields[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
    }
  }

  /// The method of a request.
  var method: String { start.first ?? "" }
  var target: String { start.count > 1 ? start[1] : "" }
  /// The status of an answer.
  var status: Int { start.count > 1 ? Int(start[1]) ?? 0 : 0 }
}

/// Follows one direction of an HTTP/1.1 connection, message by message.
struct HTTPSplitter {
  enum Part {
    case head(HTTPHead)
    case body(ArraySlice<UInt8>)
    case end
  }

  private enum State {
    case head
    case fixed(Int)
    case chunkSize
    case chunk(Int)
    case trailer
    case untilClose
  }

  private var state = State.head
  private var line: [UInt8] = []

  /// - Parameter handle: gets the parts in order. For a head it returns whether a body may follow; for other parts its result is ignored.
  mutating func feed(_ bytes: ArraySlice<UInt8>, isAnswer: Bool, _ handle: (Part) -> Bool) {
    var rest = bytes
    while let first = rest.first {
      switch state {
      case .head:
        line.append(first)
        rest = rest.dropFirst()
        guard line.suffix(4) == [13, 10, 13, 10] else { continue }
        let head = HTTPHead(line)
        line = []
        begin(head, hasBody: handle(.head(head)), isAnswer: isAnswer, handle)
      case .fixed(let left), .chunk(let left):
        let piece = rest.prefix(left)
        _ = handle(.body(piece))
        rest = rest.dropFirst(piece.count)
        advance(left - piece.count, handle)
      case .chunkSize:
        rest = rest.dropFirst()
        guard first == 10 else {
          line.append(first)
          continue
        }
        let digits = String(decoding: line, as: UTF8.self).prefix { $0.isHexDigit }
        line = []
        // The line break after a chunk's data also arrives here, as a line without digits, and is skipped.
        if let size = Int(digits, radix: 16) { state = size == 0 ? .trailer : .chunk(size) }
      case .trailer:
        line.append(first)
        rest = rest.dropFirst()
        guard first == 10 else { continue }
        if line.count <= 2 {
          state = .head
          _ = handle(.end)
        }
        line = []
      case .untilClose:
        _ = handle(.body(rest))
        return
      }
    }
  }

  private mutating func begin(_ head: HTTPHead, hasBody: Bool, isAnswer: Bool, _ handle: (Part) -> Bool) {
    if !hasBody {
      state = .head
    } else if head.fields["transfer-encoding"]?.lowercased().contains("chunked") == true {
      state = .chunkSize
      return
    } else if let length = head.fields["content-length"].flatMap(Int.init) {
      state = length == 0 ? .head : .fixed(length)
      if length > 0 { return }
    } else if isAnswer {
      state = .untilClose
      return
    }
    _ = handle(.end)
  }

  private mutating func advance(_ left: Int, _ handle: (Part) -> Bool) {
    switch state {
    case .fixed:
      state = left == 0 ? .head : .fixed(left)
      if left == 0 { _ = handle(.end) }
    case .chunk: state = left == 0 ? .chunkSize : .chunk(left)
    default: break
    }
  }
}
