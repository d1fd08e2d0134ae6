/// The slot of a contribution: at most one contribution counts for each key.
package struct ContributionKey: Hashable, Sendable, CustomStringConvertible {
  package var task: TaskID
  package var round: Int
  package var phase: Phase
  package var path: NodePath

  package init(task: TaskID, round: Int, phase: Phase, path: NodePath) {
    self.task = task
    self.round = round
    self.phase = phase
    self.path = path
  }

  package var description: String { "\(task), round \(round), \(phase.rawValue), \(path)" }
}

extension ContributionKey {
  /// The path of the contribution's address: `/v1/tasks/{t}/rounds/{n}/updates/{path}`, or `…/evaluations/{path}`.
  package var address: String {
    "/v1/tasks/\(task)/rounds/\(round)/\(phase == .train ? "updates" : "evaluations")/\(path)"
  }

  /// Reads an address without unescaping it: nothing in it needs escaping, and an escaped slash must not become a separator.
  ///
  /// - Throws: 404 for another address, 400 if the task, the round or the node's path is invalid.
  package init(address: String) throws(Problem) {
    let parts = address.split(separator: "/", maxSplits: 7, omittingEmptySubsequences: false)
    guard parts.count == 8, parts[0].isEmpty, parts[1] == "v1", parts[2] == "tasks", parts[4] == "rounds",
      parts[6] == "updates" || parts[6] == "evaluations"
    else {
      throw Problem(.notFound, "there is nothing at this path")
    }
    let (task, round) = try Self.taskAndRound(parts[3], parts[5])
    do {
      self.init(
        task: task, round: round, phase: parts[6] == "updates" ? .train : .evaluate, path: try NodePath(validating: String(parts[7])))
    } catch {
      throw Problem(.badRequest, error.description)
    }
  }

  /// The round of an address.
  ///
  /// - Throws: 400.
  package static func round(_ text: Substring) throws(Problem) -> Int {
    guard text.utf8.count <= 9, let round = Bounds.count.read(text) else {
      throw Problem(
        .badRequest, "a round must be a whole number of at most 9 digits, not \"\(String(text.prefix(60)).withoutControlCharacters)\"")
    }
    return round
  }

  /// The task and the round of an address.
  ///
  /// - Throws: 400.
  package static func taskAndRound(_ task: Substring, _ round: Substring) throws(Problem) -> (TaskID, Int) {
    do {
      return (try TaskID(validating: task), try self.round(round))
    } catch let problem as Problem {
      throw problem
    } catch {
      throw Problem(.badRequest, "\(error)")
    }
  }
}
