import MusterSchema

/// A payload that can also be shown as a row of a table.
protocol Tabular: Encodable {
  static var columns: [Table.Column] { get }
  /// The cells, one for each column.
  var row: [String] { get }
}

extension Tabular {
  static func table(_ items: [Self]) -> Table { Table(columns: columns, rows: items.map(\.row)) }
}

/// A table of aligned columns with a header, two spaces apart.
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
