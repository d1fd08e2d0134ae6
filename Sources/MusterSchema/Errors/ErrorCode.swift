/// The codes of errors that one program reports to another, or to a script.
///
/// The string of a code never changes and is never reused for another error. The sentence beside it is meant for people and may change.
/// A test compares the table in `docs/errors.md` with this file.
package enum ErrorCode: String, Hashable, Sendable, CaseIterable {
  // Errors in a request.
  case badRequest = "bad-request"
  case incompleteBody = "incomplete-body"
  case notAdmitted = "not-admitted"
  case foreignSite = "foreign-site"
  case notFound = "not-found"
  case unknownTask = "unknown-task"
  case unknownNode = "unknown-node"
  case unknownRound = "unknown-round"
  case unknownBlob = "unknown-blob"
  case unknownAction = "unknown-action"
  case slowBody = "slow-body"
  case taskExists = "task-exists"
  case taskEnded = "task-ended"
  case alreadyCounted = "already-counted"
  case noTestData = "no-test-data"
  case noModel = "no-model"
  case nodePresent = "node-present"
  case memberConflict = "member-conflict"
  case phaseClosed = "phase-closed"
  case bodyTooLarge = "body-too-large"
  case wrongMediaType = "wrong-media-type"
  case rangeNotSatisfiable = "range-not-satisfiable"
  case invalidBody = "invalid-body"
  case wrongDigest = "wrong-digest"
  case invalidTask = "invalid-task"
  case tooManyRequests = "too-many-requests"
  case tooManyUploads = "too-many-uploads"

  // Requests that a server cannot serve now, or not at all.
  case internalError = "internal-error"
  case replayFailed = "replay-failed"
  case centralUnreachable = "central-unreachable"
  case regionUnreachable = "region-unreachable"
  case centralUnknown = "central-unknown"
  case uploadSuperseded = "upload-superseded"
  case mailboxFull = "mailbox-full"
  case unavailable = "unavailable"
  case diskFull = "disk-full"

  // Errors that end a task, or a node's part in a round.
  case everyDeviceFailed = "every-device-failed"
  case trainerFailed = "trainer-failed"

  /// A code that this program does not know, from a newer program or from something between client and server.
  case unrecognized

  /// The HTTP status of an answer with this error; `nil` for an error that occurs only in statuses, records and programs.
  package var httpStatus: Int? { entry.status }
  /// The exit status of `muster` when central answers with this error, or when the task that it watches ends with it.
  package var exit: ExitStatus { entry.exit }
  /// A few words for people, the `title` of a ``Problem``.
  package var title: String { entry.title }

  private var entry: (status: Int?, exit: ExitStatus, title: String) {
    switch self {
    case .badRequest: (400, .refused, "Bad request")
    case .incompleteBody: (400, .refused, "Incomplete body")
    case .notAdmitted: (403, .refused, "Not admitted")
    case .foreignSite: (403, .refused, "Request from another site")
    case .notFound: (404, .refused, "Not found")
    case .unknownTask: (404, .refused, "Unknown task")
    case .unknownNode: (404, .refused, "Unknown node")
    case .unknownRound: (404, .refused, "Unknown round")
    case .unknownBlob: (404, .refused, "Unknown blob")
    case .unknownAction: (404, .refused, "Unknown action")
    case .slowBody: (408, .refused, "The body arrived too slowly")
    case .taskExists: (409, .refused, "The task id is taken")
    case .taskEnded: (409, .refused, "The task has ended")
    case .alreadyCounted: (409, .refused, "Another contribution already counts")
    case .noTestData: (409, .refused, "Central cannot evaluate")
    case .noModel: (409, .refused, "There is no model")
    case .nodePresent: (409, .refused, "The node is online")
    case .memberConflict: (409, .refused, "Not possible for this member")
    case .phaseClosed: (410, .refused, "The phase is closed")
    case .bodyTooLarge: (413, .refused, "The body is too large")
    case .wrongMediaType: (415, .refused, "Unsupported media type")
    case .rangeNotSatisfiable: (416, .refused, "Range not satisfiable")
    case .invalidBody: (422, .refused, "Invalid")
    case .wrongDigest: (422, .refused, "Wrong digest")
    case .invalidTask: (422, .refused, "The task is refused")
    case .tooManyRequests: (429, .refused, "Too many requests")
    case .tooManyUploads: (429, .refused, "Too many uploads")
    case .internalError: (500, .unexpected, "Internal error")
    case .replayFailed: (500, .unexpected, "The model could not be computed")
    case .centralUnreachable: (502, .unreachable, "Central does not answer")
    case .regionUnreachable: (502, .unreachable, "The region does not answer")
    case .centralUnknown: (503, .unreachable, "Central is not known to this region yet")
    case .uploadSuperseded: (503, .unreachable, "Another request continues this upload")
    case .mailboxFull: (503, .unreachable, "The mailbox is full")
    case .unavailable: (503, .unreachable, "Unavailable")
    case .diskFull: (507, .refused, "Insufficient storage")
    case .everyDeviceFailed: (nil, .taskFailed, "Every invited device failed")
    case .trainerFailed: (nil, .taskFailed, "The trainer failed")
    case .unrecognized: (nil, .unexpected, "Unrecognized")
    }
  }
}

extension ErrorCode: Codable {
  /// Decodes an unknown code as ``unrecognized``, because codes may be added without a new version of the protocol.
  package init(from decoder: any Decoder) throws {
    self = ErrorCode(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .unrecognized
  }
}
