import MusterSchema

/// Formats lists of nodes and reasons for the sentences of `muster why`. A reason is shown in full or left out; left-out nodes are counted.
enum Sentences {
  /// Maximum length of one list in characters. The first reason is shown even if it is longer.
  private static let room = 200
  /// Maximum number of nodes named for one reason.
  private static let named = 3

  /// How a reason is joined to the names of its nodes.
  private enum Style { case parentheses, colon, verb }

  /// Nodes that the task waits for: `north/pi-1, north/pi-2 (battery at 12 %), south (the region is offline) and 3 more`.
  static func waiting(_ list: [Waiting]) -> String { leading(list, .parentheses) }

  /// Nodes with reasons that start with a verb: `pi-3 went offline, pi-4 did not answer its invitation`.
  static func events(_ list: [Waiting]) -> String { leading(list, .verb) }

  /// What went wrong, newest last: `4 earlier; north: pi-3 went offline`.
  static func troubles(_ list: [Waiting]) -> String {
    let groups = grouped(list)
    let shown = Array(fitting(groups.reversed().map { text($0, .colon) }).reversed())
    let earlier = groups.dropLast(shown.count).reduce(0) { $0 + $1.nodes.count }
    return ((earlier > 0 ? ["\(earlier) earlier"] : []) + shown).joined(separator: "; ")
  }

  private static func leading(_ list: [Waiting], _ style: Style) -> String {
    let groups = grouped(list)
    let shown = fitting(groups.map { text($0, style) })
    let more = groups.dropFirst(shown.count).reduce(0) { $0 + $1.nodes.count }
    return shown.joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
  }

  private struct Group {
    var nodes: [String]
    var reason: String
  }

  /// Merges consecutive entries that have the same reason.
  private static func grouped(_ list: [Waiting]) -> [Group] {
    var groups: [Group] = []
    for entry in list {
      if groups.last?.reason == entry.reason {
        groups[groups.count - 1].nodes.append(entry.node)
      } else {
        groups.append(Group(nodes: [entry.node], reason: entry.reason))
      }
    }
    return groups
  }

  private static func text(_ group: Group, _ style: Style) -> String {
    let more = group.nodes.count - named
    let nodes = group.nodes.prefix(named).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
    switch style {
    case .parentheses: return "\(nodes) (\(group.reason))"
    case .colon: return "\(nodes): \(group.reason)"
    case .verb: return "\(nodes) \(group.reason)"
    }
  }

  private static func fitting(_ texts: [String]) -> [String] {
    var left = room
    return Array(
      texts.enumerated().prefix { index, text in
        left -= text.count + 2
        return index == 0 || left >= 0
      }.map(\.element))
  }
}

extension String {
  /// The string without control characters, shortened to at most `bytes` bytes of JSON, so that several of them fit in one message. The middle
  /// of a longer string is replaced by an ellipsis: error messages say what failed at the beginning and the cause at the end.
  package func brief(_ bytes: Int = 280) -> String {
    let text = withoutControlCharacters
    guard text.unicodeScalars.reduce(0, { $0 + $1.bytesInJSON }) > bytes else { return text }
    let mark = " … "
    let end = (bytes - mark.utf8.count) * 2 / 3
    let start = String(String.UnicodeScalarView(Self.fitting(text.unicodeScalars, bytes - mark.utf8.count - end)))
    return start + mark + String(String.UnicodeScalarView(Self.fitting(text.unicodeScalars.reversed(), end).reversed()))
  }

  private static func fitting(_ scalars: some Sequence<Unicode.Scalar>, _ bytes: Int) -> [Unicode.Scalar] {
    var left = bytes
    return Array(
      scalars.prefix { scalar in
        left -= scalar.bytesInJSON
        return left >= 0
      })
  }
}

extension Waiting {
  /// Approximate size in a message.
  var bytesInJSON: Int { [node, reason].reduce(40) { $0 + $1.unicodeScalars.reduce(0) { $0 + $1.bytesInJSON } } }
}

extension Unicode.Scalar {
  fileprivate var bytesInJSON: Int { self == "\"" || self == "\\" ? 2 : UTF8.width(self) }
}
