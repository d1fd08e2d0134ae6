internal import MusterParticipation

/// Deliberate faults to test the search for faults. Those of the machines and the shell are ``PlantedFaults``; the others are in the parts
/// that the simulation models: drivers, disks, clients and routes.
package enum PlantedBug: String, CaseIterable, Sendable {
  /// A server's shell performs the effects of a batch before it commits the records.
  case effectsBeforeCommit
  /// A batch's effects are performed although its commit failed.
  case failedCommitHasEffects
  /// After a failed commit the machine keeps the state that was not stored.
  case failedCommitKeepsState
  /// A commit is reported before the disk holds it, so a loss of power undoes the last ones.
  case commitsAreNotSynced
  /// A machine's time begins at zero with each start.
  case clockStartsAgain
  /// An event that arrives during a commit is dropped.
  case dropsWhatComesWhileCommitting
  /// The machine gets no ticks at its deadlines.
  case forgetsTimers
  /// A server that restarts or connects again does not repeat what it owes.
  case forgetsOwed
  /// A restarted server has forgotten what it accepted in the round in progress.
  case forgetsAcceptedOnRestart
  /// A further attempt removes the rows that earlier attempts accepted.
  case attemptForgetsAccepted
  /// An offline message counts even if its session is not the node's current one.
  case believesEveryWill
  /// A program does not correct another program's state on its own topic.
  case ignoresForeignWills
  /// A node that repeats an upload which already counts is told that the round is closed.
  case repeatsAreRefused
  /// A repeated upload is counted again.
  case countsRepeats
  /// A contribution that was admitted by its headers is accepted with its body, even if the phase has closed meanwhile.
  case admissionIsAcceptance
  /// A ticket for another path admits an upload.
  case admitsOthersTickets
  /// A ticket for another round or phase admits an upload.
  case admitsOldTickets
  /// An aggregation leaves out the last contribution of the frozen set.
  case foldsWithoutTheLast
  /// The result of long work is handed over only once, even if it could not be stored.
  case reportsWorkOnce
  /// The collector runs at any moment, and removes blobs whose record has not been committed yet.
  case collectsYoungBlobs
  /// Descriptors that were cleared by another program, or brought back by an old snapshot of the broker, are not corrected.
  case neverReconciles
  /// Topic messages that were lost with a failed commit are not read again.
  case lostTopicsAreNotReadAgain
  /// A record that can never be stored is retried forever, with its whole batch.
  case poisonIsRetried
  /// The key of long work does not include the round, so work for the next round is dropped as a duplicate of work that is still running.
  case workKeyHasNoRound
  /// Long work is given up when it finds the disk full.
  case fullDiskEndsWork
  /// A node that does not answer its invitation is invited again and again.
  case forgetsSilence
  /// A contribution counts even if its weight, metrics or device count is out of range.
  case acceptsAnyNumber
  /// A region does not ask central which tasks it has.
  case neverAsksForTheList
  /// A device that gets no answer to an upload does not try again.
  case uploadIsTriedOnce

  /// The fault of the machines and the shell that the bug consists of; empty if it is in another part.
  var faults: PlantedFaults {
    switch self {
    case .effectsBeforeCommit: .effectsBeforeCommit
    case .failedCommitHasEffects: .failedCommitHasEffects
    case .failedCommitKeepsState: .failedCommitKeepsState
    case .forgetsTimers: .forgetsTimers
    case .poisonIsRetried: .poisonIsRetried
    case .workKeyHasNoRound: .workKeyHasNoRound
    case .foldsWithoutTheLast: .foldsWithoutTheLast
    case .fullDiskEndsWork: .fullDiskEndsWork
    case .reportsWorkOnce: .reportsWorkOnce
    case .neverReconciles: .neverReconciles
    case .forgetsOwed: .forgetsOwed
    case .believesEveryWill: .believesEveryWill
    case .repeatsAreRefused: .repeatsAreRefused
    case .countsRepeats: .countsRepeats
    case .admissionIsAcceptance: .admissionIsAcceptance
    case .forgetsSilence: .forgetsSilence
    case .acceptsAnyNumber: .acceptsAnyNumber
    case .neverAsksForTheList: .neverAsksForTheList
    case .lostTopicsAreNotReadAgain: .lostTopicsAreNotReadAgain
    default: []
    }
  }
}
