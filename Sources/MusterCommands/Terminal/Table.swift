import MusterSchema

/// A payload that can also be shown as a row. The payload itself knows nothing of it.
protocol Tabular: Encodable {
  static var columns: [Table.Column] { get }
  /// A cell for each column.
  var row: [String] { get }
}

extension Tabular {
  static func table(_ items: [Self]) -> Table { Table(columns: columns, rows: items.map(\.row)) }
}

/// Aligned columns with a head, two spaces between them.
struct Table: Hashable, Sendable {
  struct Column: Hashable, Sendable, ExpressibleByStringLiteral {
    var title: String
    var isNumber = false

    init(stringLiteral title: String) { self.title = title }
    static func number(_ title: String) -> Column {
      var column = Column(stringLiteral: title)
      column.isNumber = true
      return column
    }
  }

  var columns: [Column]
  var rows: [[String]]

  func lines(ink: Ink = .none) -> [String] {
    let clean = rows.map { row in row.map(\.withoutControlCharacters) }
    let widths = columns.indices.map { index in
      ([columns[index].title] + clean.compactMap { index < $0.count ? $0[index] : nil }).map(\.count).max() ?? 0
    }
    func line(_ cells: [String]) -> String {
      var text = ""
      for (index, cell) in cells.enumerated() where index < columns.count {
        if index > 0 { text += "  " }
        let isLast = index == columns.count - 1 && !columns[index].isNumber
        text += isLast ? cell : cell.padded(to: widths[index], right: columns[index].isNumber)
      }
      while text.last == " " { text.removeLast() }
      return text
    }
    return [ink.dim(line(columns.map(\.title)))] + clean.map(line)
  }
}
