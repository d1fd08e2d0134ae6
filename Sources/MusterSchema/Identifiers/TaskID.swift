/// The id of a task. The client that pushes the task chooses it, so that a repeated push is the same task.
public struct TaskID: Identifier {
  public static var noun: String { "task id" }
  public let rawValue: String
  public init(unchecked rawValue: String) { self.rawValue = rawValue }
}
