/// A condition on labels: `arch=x86_64,site!=lab,gpu,!battery`. All of its parts must hold.
package struct LabelSelector: Hashable, Sendable {
  private enum Part: Hashable, Sendable {
    case equals(String, String)
    case differs(String, String)
    case has(String)
    case lacks(String)
  }

  private let parts: [Part]

  /// The reason why a string is not a selector.
  package struct ParseError: Error, CustomStringConvertible {
    package let part: String
    package var description: String {
      let hint = part.contains("==") ? ": write a single =" : ""
      return "\"\(part.shown(120))\" is not one of key=value, key!=value, key, !key\(hint)"
    }
  }

  package init(_ text: String) throws(ParseError) {
    var parts: [Part] = []
    for raw in text.split(separator: ",") {
      let part = raw.trimmed
      if part.isEmpty { continue }
      let pieces = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { String($0.trimmed) }
      // `a==b` would ask for the value "=b", which is surely a mistake.
      if pieces.count == 2, pieces[1].hasPrefix("=") { throw ParseError(part: String(part)) }
      switch pieces.count {
      case 2 where pieces[0].hasSuffix("!") && isKey(pieces[0].dropLast().trimmed):
        parts.append(.differs(String(pieces[0].dropLast().trimmed), pieces[1]))
      case 2 where isKey(pieces[0][...]) && !pieces[1].isEmpty: parts.append(.equals(pieces[0], pieces[1]))
      case 1 where part.hasPrefix("!") && isKey(part.dropFirst()): parts.append(.lacks(String(part.dropFirst())))
      case 1 where isKey(part): parts.append(.has(String(part)))
      default: throw ParseError(part: String(part))
      }
    }
    self.parts = parts
  }

  package func matches(_ labels: [String: String]) -> Bool { mismatch(labels) == nil }

  /// The reason why these labels do not match; `nil` if they match.
  package func mismatch(_ labels: [String: String]) -> String? {
    for part in parts {
      switch part {
      case .equals(let key, let value) where labels[key] != value:
        return "label \(key) is \(labels[key] ?? "absent"), the task wants \(value)"
      case .differs(let key, let value) where labels[key] == value: return "label \(key) is \(value), which the task excludes"
      case .has(let key) where labels[key] == nil: return "label \(key) is absent"
      case .lacks(let key) where labels[key] != nil: return "label \(key) is present, which the task excludes"
      default: continue
      }
    }
    return nil
  }
}

private func isKey(_ text: Substring) -> Bool {
  !text.isEmpty && text.utf8.count <= 63
    && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" || $0 == "." || $0 == "/") }
}

extension StringProtocol {
  var trimmed: Substring {
    let tail = self[...].drop { $0 == " " || $0 == "\t" }
    guard let last = tail.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
    return Substring(tail[...last])
  }
}
