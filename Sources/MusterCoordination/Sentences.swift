import MusterSchema

/// Lists of nodes with their reasons, as a sentence goes on with them. A reason is shown whole or not at all; what has no room is counted.
enum Sentences {
  /// Characters of one list. The first reason is shown however long it is.
  private static let room = 200
  /// Nodes with one reason that are named.
  private static let named = 3

  /// How a reason stands beside its nodes.
  private enum Style { case parentheses, colon, verb }

  /// Who is waited for: `north/pi-1, north/pi-2 (battery at 12 %), south (the region is offline) and 3 more`.
  static func waiting(_ list: [Waiting]) -> String { leading(list, .parentheses) }

  /// Whose reasons are verbs: `pi-3 went offline, pi-4 did not answer its invitation`.
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

  /// Neighbours in the list that give the same reason.
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
  /// What somebody else said, short enough for a message that holds several such texts: without control characters, and at most so many bytes
  /// as JSON. Of a longer text the beginning and the end stay: there stand what failed and its cause.
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
  /// About what it takes in a message.
  var bytesInJSON: Int { [node, reason].reduce(40) { $0 + $1.unicodeScalars.reduce(0) { $0 + $1.bytesInJSON } } }
}

extension Unicode.Scalar {
  fileprivate var bytesInJSON: Int { self == "\"" || self == "\\" ? 2 : UTF8.width(self) }
}
