import Testing

@testable import MusterCommands

@Suite("What people see")
struct TerminalTests {
  @Test("a table aligns its columns, numbers to the right, and ends no line with spaces")
  func table() {
    let table = Table(
      columns: ["TASK", .number("ROUND"), "WHY"], rows: [["digits-1", "3/10", "waits"], ["a", "10/10", ""], ["b", "1/1", "x\u{1B}[2Jy"]])
    #expect(
      table.lines() == [
        "TASK      ROUND  WHY",
        "digits-1   3/10  waits",
        "a         10/10",
        "b           1/1  x\u{FFFD}[2Jy",
      ])
  }

  @Test("a table without rows is its head")
  func emptyTable() {
    #expect(Table(columns: ["NODE", "STATE"], rows: []).lines() == ["NODE  STATE"])
  }

  @Test("a sparkline spans the values, leaves gaps and shows the newest")
  func sparkline() {
    #expect(Sparkline.text([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█")
    #expect(Sparkline.text([0, nil, .nan, 1]) == "▁  █")
    #expect(Sparkline.text([2, 2]) == "▄▄")
    // These are values that a device's evaluation may report.
    #expect(Sparkline.text([-.greatestFiniteMagnitude, 0, .greatestFiniteMagnitude]) == "▁▅█")
    #expect(Sparkline.text([0, .leastNonzeroMagnitude]) == "▄▄")
    #expect(Sparkline.text([9, 0, 1], width: 2) == "▁█")
    #expect(Sparkline.text([nil, .infinity]) == "")
    #expect(Sparkline.text([]) == "")
  }

  @Test("a sentence is broken at spaces, and no letter of it is lost")
  func wrapped() {
    #expect("".wrapped(to: 20) == [])
    #expect("waits for devices: 4 ready, 8 needed".wrapped(to: 20) == ["waits for devices: 4", "ready, 8 needed"])
    #expect("a bcdefghij kl".wrapped(to: 4) == ["a", "bcde", "fghi", "j kl"])
  }

  @Test("a progress bar stays inside its width whatever the fraction", arguments: [(-1.0, 0), (0.5, 5), (2.0, 10), (.nan, 0)])
  func bar(fraction: Double, full: Int) {
    #expect(ProgressBar.text(fraction, width: 10) == String(repeating: "█", count: full) + String(repeating: "░", count: 10 - full))
  }

  @Test("numbers are rounded to so many digits")
  func numbers() {
    #expect(Words.number(0.31249, digits: 3) == "0.312")
    #expect(Words.number(0.0004, digits: 4) == "0.0004")
    #expect(Words.number(-0.00004, digits: 4) == "0.0000")
    #expect(Words.number(-1.5, digits: 1) == "-1.5")
    #expect(Words.number(1437, digits: 0) == "1437")
    #expect(Words.number(.nan, digits: 2) == "nan")
    #expect(Words.number(1e300, digits: 2) == "1e+300")
  }

  @Test("times and sizes are said as people say them")
  func words() {
    #expect(Words.seconds(0.25) == "0.3 s")
    #expect(Words.seconds(60) == "60 s")
    #expect(Words.seconds(300) == "5 min")
    #expect(Words.seconds(86_400) == "24 h")
    #expect(Words.bytes(79_800) == "77.9 KiB")
    #expect(Words.count(1, "device") == "1 device")
    #expect(Words.metrics(["recall": 0.5, "accuracy": 0.97, "loss": 0.1]) == ["loss 0.1000", "accuracy 0.9700", "recall 0.5000"])
  }

  @Test("a line is cut to the terminal's width without breaking its colours")
  func cut() {
    let ink = Ink(Terminal(isTerminal: true, hasColour: true, width: 80))
    #expect("abcdef".cut(to: 6) == "abcdef")
    #expect("abcdef".cut(to: 4) == "abc…")
    #expect(ink.red("abcdef").cut(to: 4).visibleCount == 4)
    #expect(ink.red("abcdef").cut(to: 4).hasSuffix("\u{1B}[0m"))
    #expect(Ink.none.red("plain") == "plain")
  }
}
