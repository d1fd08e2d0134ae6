/// A decodable value from outside with numbers that must be checked before use.
///
/// ``JSON/decode(_:from:)`` and ``MessageCoder`` refuse a value whose numbers are out of range and name the member, so that readers need
/// no check.
package protocol RangeChecked {
  func checkRanges() throws(RangeError)
}

/// A number that is out of its range.
package struct RangeError: Error, Hashable, CustomStringConvertible {
  package let member: String
  package let detail: String

  package var description: String { "\(member): \(detail)" }

  func below(_ parent: String) -> RangeError { RangeError(member: "\(parent).\(member)", detail: detail) }
}

extension Bounds where Number: CustomStringConvertible {
  /// - Parameter number: the member's value; `nil` if the member is absent, which is accepted.
  /// - Throws: ``RangeError`` with the member's name.
  package func require(_ number: Number?, _ member: String) throws(RangeError) {
    guard let number, !contains(number) else { return }
    throw RangeError(member: member, detail: "must be between \(range.lowerBound) and \(range.upperBound), got \(number)")
  }
}

extension Array: RangeChecked where Element: RangeChecked {
  package func checkRanges() throws(RangeError) { for element in self { try element.checkRanges() } }
}

// MARK: - Messages

extension NodeState: RangeChecked {
  package func checkRanges() throws(RangeError) {
    do { try resources?.checkRanges() } catch { throw error.below("resources") }
  }
}

extension Resources: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.count.require(cores, "cores")
    try Bounds.bytes.require(memoryMiB, "memoryMiB")
    try Bounds.bytes.require(diskMiB, "diskMiB")
  }
}

extension NodeStatus: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.count.require(round, "round")
    try Bounds.count.require(attempt, "attempt")
    try Bounds.count.require(devices, "devices")
    try Bounds.count.require(declined, "declined")
    try Bounds.count.require(have, "have")
    try Bounds.count.require(quota, "quota")
    try Bounds.secondsLeft.require(retrySeconds, "retrySeconds")
  }
}

extension ModelReference: RangeChecked {
  package func checkRanges() throws(RangeError) { try Bounds.bytes.require(bytes, "bytes") }
}

extension Invitation: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.count.require(revision, "revision")
    try Bounds.count.require(round, "round")
    try Bounds.count.require(attempt, "attempt")
    try Bounds.count.require(quota, "quota")
    try Bounds.count.require(minimum, "minimum")
    do { try base.checkRanges() } catch { throw error.below("base") }
    try Bounds.secondsLeft.require(secondsLeft, "secondsLeft")
    try Bounds.secondsLeft.require(startWithin, "startWithin")
  }
}

extension RoundState: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.count.require(round, "round")
    try Bounds.count.require(rounds, "rounds")
    try Bounds.count.require(attempt, "attempt")
    try Bounds.count.require(needed, "needed")
    try Bounds.count.require(have, "have")
    try Bounds.count.require(more, "more")
    try Bounds.secondsLeft.require(closesInSeconds, "closesInSeconds")
  }
}

extension TaskDescriptor: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.count.require(revision, "revision")
    try Bounds.count.require(rounds, "rounds")
    try Bounds.secondsLeft.require(secondsLeft, "secondsLeft")
    try Bounds.bytes.require(model.step?.bytes, "model.step.bytes")
  }
}

// MARK: - The ops API and the data plane

extension Evaluation: RangeChecked {
  package func checkRanges() throws(RangeError) { try Bounds.count.require(count, "count") }
}

extension Traffic: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.traffic.require(received, "received")
    try Bounds.traffic.require(sent, "sent")
  }
}

extension LinkTraffic: RangeChecked {
  package func checkRanges() throws(RangeError) { try traffic.checkRanges() }
}

extension RegionTask: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try descriptor.checkRanges()
    try now.checkRanges()
    try traffic.checkRanges()
    try rounds.checkRanges()
  }
}

extension RoundRecord: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.count.require(round, "round")
    try Bounds.count.require(attempts, "attempts")
    try updates.checkRanges()
    try evaluations.checkRanges()
    try Bounds.secondsLeft.require(seconds, "seconds")
  }
}

extension ContributionRecord: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.bytes.require(bytes, "bytes")
    try Bounds.count.require(count, "count")
  }
}

extension ModelCheckpoint: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.count.require(round, "round")
    try Bounds.bytes.require(bytes, "bytes")
    try wire?.checkRanges()
  }
}

extension TaskSummary: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.count.require(round, "round")
    try Bounds.count.require(rounds, "rounds")
    try Bounds.count.require(attempt, "attempt")
  }
}

extension TaskDetail: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try summary.checkRanges()
    try now.checkRanges()
    try rounds.checkRanges()
    try models.checkRanges()
  }
}

extension NodeSummary: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try state.checkRanges()
    try tasks.checkRanges()
  }
}

extension RegionSummary: RangeChecked {
  package func checkRanges() throws(RangeError) { try tasks.checkRanges() }
}
