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

  /// Nodes with the trouble that each had, newest last: `4 earlier; north: pi-3 went offline`.
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

/// A number for people: rounded to four decimals, without trailing zeros.
func readable(_ value: Double) -> String {
  guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
  let rounded = (value * 10_000).rounded() / 10_000
  return rounded == rounded.rounded() ? "\(Int64(rounded))" : "\(rounded)"
}
