internal import MusterParticipation

/// Faults that are switched on to test the search for faults. Those of the machines and the shell are ``PlantedFaults``; the others live in
/// what the simulation models: drivers, disks, clients and routes.
package enum PlantedBug: String, CaseIterable, Sendable {
  /// A server's shell performs the effects of a batch, then commits its records.
  case effectsBeforeCommit
  /// The effects of a batch whose commit failed are performed all the same.
  case failedCommitHasEffects
  /// A failed commit leaves the machine in the state that was not stored.
  case failedCommitKeepsState
  /// A commit answers before the disk holds it: a loss of power takes the last ones back.
  case commitsAreNotSynced
  /// A machine's time starts at zero again with each start.
  case clockStartsAgain
  /// What arrives while a commit is under way is dropped.
  case dropsWhatComesWhileCommitting
  /// Nothing wakes the machine at its deadlines.
  case forgetsTimers
  /// A restarted server does not say what it owes.
  case forgetsOwed
  /// A restarted server has forgotten what it accepted in the round in progress.
  case forgetsAcceptedOnRestart
  /// A further attempt removes the rows that were accepted in earlier ones.
  case attemptForgetsAccepted
  /// An offline counts whatever its session is.
  case believesEveryWill
  /// A state on one's own topic that is not one's own is left there.
  case ignoresForeignWills
  /// Who repeats an upload that counts is told that the round is closed.
  case repeatsAreRefused
  /// An upload that counts is counted again.
  case countsRepeats
  /// What was admitted when its headers came is accepted when its body is there, closed or not.
  case admissionIsAcceptance
  /// The ticket of another path admits, too.
  case admitsOthersTickets
  /// The ticket of another round or phase admits, too.
  case admitsOldTickets
  /// The aggregate leaves out what the frozen set holds.
  case foldsWithoutTheLast
  /// The result of long work is reported once, whether or not it could be stored.
  case reportsWorkOnce
  /// The collector comes at any moment, and takes blobs that are on their way to their record.
  case collectsYoungBlobs
  /// Descriptors that somebody cleared, or that an old snapshot of the broker brought back, stay as they are.
  case neverReconciles
  /// What came from topics and was lost with a failed commit is not read again.
  case lostTopicsAreNotReadAgain
  /// A record that can never be stored is tried again and again, with all that came with it.
  case poisonIsRetried
  /// The key of a server's long work has no round: work for the next round is taken for that which still runs, and dropped.
  case workKeyHasNoRound
  /// Long work that finds the disk full is given up.
  case fullDiskEndsWork
  /// Who does not answer an invitation is invited again and again.
  case forgetsSilence
  /// A contribution counts whatever its numbers are.
  case acceptsAnyNumber
  /// A region does not ask which tasks central has.
  case neverAsksForTheList
  /// A device that gets no answer to an upload lets it be.
  case uploadIsTriedOnce

  /// The part of it that is a fault of the machines and the shell.
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
