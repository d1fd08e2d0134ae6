/// Deliberate faults in the machines and the shell, to test the tests: the fault search and the unit tests must detect each of them.
///
/// The servers never set one. `scripts/lint` forbids the type outside the rooms for participation, coordination, shell and simulation, and
/// the tests.
package struct PlantedFaults: OptionSet, Hashable, Sendable {
  package let rawValue: Int

  package init(rawValue: Int) { self.rawValue = rawValue }

  /// A batch's effects are performed before its records are stored.
  package static let effectsBeforeCommit = PlantedFaults(rawValue: 1 << 0)
  /// A batch's effects are performed although its commit failed.
  package static let failedCommitHasEffects = PlantedFaults(rawValue: 1 << 1)
  /// After a failed commit the machine keeps the state that was not stored.
  package static let failedCommitKeepsState = PlantedFaults(rawValue: 1 << 2)
  /// The machine gets no ticks at its deadlines.
  package static let forgetsTimers = PlantedFaults(rawValue: 1 << 3)
  /// A record that can never be stored is retried forever, with its whole batch.
  package static let poisonIsRetried = PlantedFaults(rawValue: 1 << 4)
  /// The key of long work does not include the round, so work for the next round is dropped as a duplicate of work that is still running.
  package static let workKeyHasNoRound = PlantedFaults(rawValue: 1 << 5)
  /// An aggregation leaves out the last contribution of the frozen set.
  package static let foldsWithoutTheLast = PlantedFaults(rawValue: 1 << 6)
  /// A wrong or missing retained message on a task's own topic is not corrected.
  package static let neverReconciles = PlantedFaults(rawValue: 1 << 7)
  /// Topic messages that were lost with a failed commit are not read again.
  package static let lostTopicsAreNotReadAgain = PlantedFaults(rawValue: 1 << 8)
  /// Long work is given up when it finds the disk full.
  package static let fullDiskEndsWork = PlantedFaults(rawValue: 1 << 9)
  /// The result of long work is handed over only once, even if it could not be stored.
  package static let reportsWorkOnce = PlantedFaults(rawValue: 1 << 10)
  /// A region does not ask central which tasks it has.
  package static let neverAsksForTheList = PlantedFaults(rawValue: 1 << 11)
  /// A coordinator does not repeat what it owes, on a restart or a new connection.
  package static let forgetsOwed = PlantedFaults(rawValue: 1 << 12)
  /// An offline message counts even if its session is not the node's current one.
  package static let believesEveryWill = PlantedFaults(rawValue: 1 << 13)
  /// A node that repeats an upload which already counts is told that the round is closed.
  package static let repeatsAreRefused = PlantedFaults(rawValue: 1 << 14)
  /// A repeated upload is counted again.
  package static let countsRepeats = PlantedFaults(rawValue: 1 << 15)
  /// A contribution that was admitted by its headers is accepted with its body, even if the phase has closed meanwhile.
  package static let admissionIsAcceptance = PlantedFaults(rawValue: 1 << 16)
  /// A node that does not answer its invitation is invited again and again.
  package static let forgetsSilence = PlantedFaults(rawValue: 1 << 17)
  /// A contribution counts even if its weight, metrics or device count is out of range.
  package static let acceptsAnyNumber = PlantedFaults(rawValue: 1 << 18)
}
