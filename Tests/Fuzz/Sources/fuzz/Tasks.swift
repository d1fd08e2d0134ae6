import MusterSchema

/// A task file, as central reads it from a push: strictly.
func tasks(_ input: ArraySlice<UInt8>) {
  let task: TaskSpecification
  do {
    task = try TaskSpecification(strictJSON: input)
  } catch {
    for problem in error.problems { requireFitForLogs("\(problem)") }
    return
  }
  let problems = task.problems()
  for problem in problems { requireFitForLogs("\(problem)") }
  do {
    let bytes = try JSON.encode(task)
    let again = try TaskSpecification(strictJSON: bytes)
    require(again == task, "a task is read as another: \(String(decoding: bytes, as: UTF8.self))")
    require(try JSON.encode(again) == bytes, "the same task is other bytes")
    require(again.problems() == problems, "a task that was written has other problems")
  } catch {
    fail("a task that was read cannot be written and read: \(error)")
  }
  if problems.isEmpty { requireSame(Examples.descriptor(task)) }
}

func taskSeeds() throws -> [[UInt8]] {
  let short =
    #"{"name":"digits","model":{"type":"mlp","hidden":[32]},"regions":["north"],"rounds":1,"cohort":{"size":1},"strategy":"fedadam"}"#
  let wrong = #"{"name":"digits","model":{"type":"mlp"},"regions":["North/#"],"rounds":2.5,"cohort":{"sze":1},"initial":{"seed":1}}"#
  return [try JSON.encode(Examples.specification), try JSON.encode(Examples.rich), Array(short.utf8), Array(wrong.utf8)]
}
