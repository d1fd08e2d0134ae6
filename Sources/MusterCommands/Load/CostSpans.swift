import MusterLoad

/// The processor time of each process between two readings, divided by the number of devices.
struct CostSpans {
  /// For each round, processor milliseconds per device of the cohort, by process.
  private(set) var rounds: [Int: [String: Double]] = [:]
  private(set) var processes: [LoadReport.Process] = []

  init(_ course: LoadCourse, names: [String], settings: LoadSettings) {
    let ends = course.atRounds.dropFirst().map(\.readings) + [course.atEnd]
    for (begin, end) in zip(course.atRounds, ends) {
      let costs = Self.milliseconds(from: begin.readings, to: end, each: settings.cohort)
      rounds[begin.round] = Dictionary(zip(names, costs)) { first, _ in first }
    }
    let first = course.atRounds.first?.readings ?? course.atEnd
    let connecting = Self.milliseconds(from: course.atStart, to: course.atPush, each: settings.devices)
    let describing = Self.milliseconds(from: course.atPush, to: first, each: settings.devices)
    let working = Self.milliseconds(from: first, to: course.atEnd, each: settings.cohort * max(1, course.atRounds.count))
    processes = names.indices.map { index in
      let reading = course.atEnd[index]
      return LoadReport.Process(
        name: names[index], connecting: connecting[index], describing: describing[index], round: working[index],
        peakBytes: reading.peakBytes, residentBytes: reading.residentBytes)
    }
  }

  private static func milliseconds(from begin: [ProcessReading], to end: [ProcessReading], each count: Int) -> [Double] {
    zip(begin, end).map { ($1.processorSeconds - $0.processorSeconds) * 1000 / Double(max(1, count)) }
  }
}
