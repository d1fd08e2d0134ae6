/// A task, named by the client that pushes it, so that a retried push is the same task.
public struct TaskID: Identifier {
  public static var noun: String { "task id" }
  public let rawValue: String
  public init(unchecked rawValue: String) { self.rawValue = rawValue }
}
