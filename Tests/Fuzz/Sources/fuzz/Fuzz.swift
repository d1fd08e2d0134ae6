import CFuzzer
import FoundationEssentials
import Glibc

/// `fuzz TARGET [libFuzzer's arguments]` runs one target, `fuzz seeds FOLDER` writes the seed corpora, `fuzz list` names the targets.
@main
enum Fuzz {
  /// A target takes any bytes, and ends the process when something does not hold of them.
  typealias Target = @Sendable @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32

  static let targets: [(name: String, run: Target, seeds: @Sendable () throws -> [[UInt8]])] = [
    ("safetensors", { Fuzz.run($0, $1, safetensors) }, safetensorsSeeds),
    ("encodings", { Fuzz.run($0, $1, encodings) }, encodingSeeds),
    ("topics", { Fuzz.run($0, $1, topics) }, topicSeeds),
    ("messages", { Fuzz.run($0, $1, messages) }, messageSeeds),
    ("tasks", { Fuzz.run($0, $1, tasks) }, taskSeeds),
    ("requests", { Fuzz.run($0, $1, requests) }, requestSeeds),
    ("machines", { Fuzz.run($0, $1, machines) }, machineSeeds),
    ("routes", { Fuzz.run($0, $1, routes) }, routeSeeds),
  ]

  static func main() throws {
    let arguments = CommandLine.arguments
    switch arguments.dropFirst().first {
    case "list": print(targets.map(\.name).joined(separator: "\n"))
    case "seeds" where arguments.count == 3: try writeSeeds(arguments[2])
    case let name?:
      guard let target = targets.first(where: { $0.name == name }) else { fallthrough }
      // libFuzzer starts itself anew for some of its work: its own name is then this one and the target's.
      exit(drive([arguments[0]] + arguments.dropFirst(2), target.run))
    default:
      print("usage: fuzz TARGET [ARGUMENT…] | fuzz seeds FOLDER | fuzz list")
      exit(2)
    }
  }

  private static func drive(_ arguments: [String], _ target: Target) -> Int32 {
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var count = Int32(arguments.count)
    return words.withUnsafeMutableBufferPointer { buffer in
      var pointer = buffer.baseAddress
      return LLVMFuzzerRunDriver(&count, &pointer, target)
    }
  }

  private static func writeSeeds(_ folder: String) throws {
    for target in targets {
      try FileManager.default.createDirectory(atPath: "\(folder)/\(target.name)", withIntermediateDirectories: true)
      for (number, seed) in try target.seeds().enumerated() {
        try Data(seed).write(to: URL(filePath: "\(folder)/\(target.name)/\(number < 10 ? "0" : "")\(number)"))
      }
    }
  }

  private static func run(_ start: UnsafePointer<UInt8>?, _ count: Int, _ check: (ArraySlice<UInt8>) -> Void) -> Int32 {
    check(Array(UnsafeBufferPointer(start: start, count: count))[...])
    return 0
  }
}

/// Says what does not hold, and ends the process as a crash does.
func require(_ holds: Bool, _ what: @autoclosure () -> String, line: Int = #line, file: String = #fileID) {
  if holds { return }
  fail(what(), line: line, file: file)
}

func fail(_ what: String, line: Int = #line, file: String = #fileID) -> Never {
  var text = "\(file):\(line): \(what)\n"
  text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
  abort()
}

/// What is said of an input goes into logs and answers: it is short, and nothing in it moves a terminal's cursor.
func requireFitForLogs(_ text: String) {
  require(text.utf8.count <= 2000, "\(text.utf8.count) bytes are said of an input: \(text.prefix(300))")
  require(text == text.withoutControls, "control characters are said of an input: \(text.debugDescription.prefix(300))")
}

extension String {
  fileprivate var withoutControls: String {
    String(String.UnicodeScalarView(unicodeScalars.filter { !($0.value < 0x20 || (0x7f..<0xa0).contains($0.value)) }))
  }

  /// Equal, and not only alike: strings compare by what they show.
  func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
