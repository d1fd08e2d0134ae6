internal import MusterSchema

/// Everything that went over a wire or to a disk, in order: always as a digest, and as text lines if a seed is replayed for people.
///
/// The digest depends on nothing in the process, so two processes that run the same seed get the same digest.
package struct Trace: Sendable {
  package private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
  package private(set) var lines: [String] = []
  package var keepsLines = false
  package private(set) var events = 0

  mutating func fold(_ value: UInt64) { digest = Generator.mix(digest ^ value) &+ 0x9e37_79b9_7f4a_7c15 }
  mutating func fold(_ value: Int) { fold(UInt64(bitPattern: Int64(value))) }
  mutating func fold(_ value: Double) { fold(value.bitPattern) }

  mutating func fold(_ text: String) { fold(text.utf8) }

  mutating func fold(_ bytes: some Sequence<UInt8>) {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    fold(hash)
  }

  mutating func begin(_ time: Int64, _ kind: Kind) {
    events += 1
    fold(UInt64(bitPattern: time) << 8 | kind.rawValue)
  }

  mutating func add(_ line: @autoclosure () -> String) { if keepsLines { lines.append(line()) } }

  enum Kind: UInt64 { case publish, deliver, commit, fault, exchange, connection, life }
}

extension World {
  /// Adds a line for people. Its time, kind and subject also go into the digest.
  func note(_ kind: Trace.Kind, _ who: String, _ what: @autoclosure () -> String) {
    trace.begin(time, kind)
    trace.fold(who)
    if trace.keepsLines { trace.add("\(clock) \(who.padded(14)) \(what())") }
  }

  /// The virtual time in seconds, as the trace shows it.
  var clock: String {
    let milliseconds = "\(time % 1000)"
    return "\(time / 1000).\(String(repeating: "0", count: 3 - milliseconds.count))\(milliseconds)".padded(8, left: true)
  }

  func text(_ value: some Encodable) -> String {
    do {
      return String(decoding: try JSON.encode(value), as: UTF8.self)
    } catch {
      return "\(error)"
    }
  }
}

extension String {
  func padded(_ width: Int, left: Bool = false) -> String {
    let missing = width - utf8.count
    guard missing > 0 else { return self }
    let space = String(repeating: " ", count: missing)
    return left ? space + self : self + space
  }
}
