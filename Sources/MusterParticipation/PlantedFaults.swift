/// Faults of the machines and the shell that are switched on to test the tests: the search for faults and the unit tests must find each.
///
/// The servers never set one. A lint rule forbids the name outside of these two rooms, the simulation and the tests.
package struct PlantedFaults: OptionSet, Hashable, Sendable {
  package let rawValue: Int

  package init(rawValue: Int) { self.rawValue = rawValue }

  /// The effects of a batch are performed before its records are stored.
  package static let effectsBeforeCommit = PlantedFaults(rawValue: 1 << 0)
  /// The effects of a batch whose commit failed are performed all the same.
  package static let failedCommitHasEffects = PlantedFaults(rawValue: 1 << 1)
  /// A failed commit leaves the machine in the state that was not stored.
  package static let failedCommitKeepsState = PlantedFaults(rawValue: 1 << 2)
  /// Nothing wakes the machine at its deadlines.
  package static let forgetsTimers = PlantedFaults(rawValue: 1 << 3)
  /// A record that can never be stored is tried again and again, with everything in its batch.
  package static let poisonIsRetried = PlantedFaults(rawValue: 1 << 4)
  /// The key of long work has no round: work for the next round is taken for that which still runs, and dropped.
  package static let workKeyHasNoRound = PlantedFaults(rawValue: 1 << 5)
  /// An aggregation leaves out the last contribution of the frozen set.
  package static let foldsWithoutTheLast = PlantedFaults(rawValue: 1 << 6)
  /// What stands on a task's own topic and should not, or no longer stands there, is left as it is.
  package static let neverReconciles = PlantedFaults(rawValue: 1 << 7)
  /// What came from topics and was lost with a failed commit is not read again.
  package static let lostTopicsAreNotReadAgain = PlantedFaults(rawValue: 1 << 8)
  /// Long work that finds the disk full is given up.
  package static let fullDiskEndsWork = PlantedFaults(rawValue: 1 << 9)
  /// The result of long work is handed over once, whether or not it could be stored.
  package static let reportsWorkOnce = PlantedFaults(rawValue: 1 << 10)
  /// A region does not ask which tasks central has.
  package static let neverAsksForTheList = PlantedFaults(rawValue: 1 << 11)
  /// A coordinator that started again does not say what it owes.
  package static let forgetsOwed = PlantedFaults(rawValue: 1 << 12)
  /// An offline counts whatever its session is.
  package static let believesEveryWill = PlantedFaults(rawValue: 1 << 13)
  /// Who repeats an upload that counts is told that the round is closed.
  package static let repeatsAreRefused = PlantedFaults(rawValue: 1 << 14)
  /// An upload that counts is counted again.
  package static let countsRepeats = PlantedFaults(rawValue: 1 << 15)
  /// What was admitted when its headers came is accepted when its body is there, whether the phase is closed by then or not.
  package static let admissionIsAcceptance = PlantedFaults(rawValue: 1 << 16)
  /// Who does not answer an invitation is invited again and again.
  package static let forgetsSilence = PlantedFaults(rawValue: 1 << 17)
  /// A contribution counts whatever its numbers are.
  package static let acceptsAnyNumber = PlantedFaults(rawValue: 1 << 18)
}
