internal import Glibc
internal import MusterSchema

/// The main function of a trainer's program: one job from its argument, or as a resident process many from standard input.
public enum TrainerMain {
  public enum Mode: Hashable, Sendable {
    /// Does the job in this folder.
    case once(folder: String)
    /// Reads one `{"job":"FOLDER"}` a line, answers `{"done":"FOLDER","exit":0}`, and ends with its input.
    case resident
  }

  /// Runs to the end. Standard output is the protocol's from here on; messages go to standard error.
  /// - Returns: the exit status: 0 done, 1 error, 3 cancelled.
  public static func run(_ mode: Mode, perform: (TrainerJob) throws -> Void) -> Int32 {
    let output = ProtocolOutput.takeStandardOutput()
    Termination.watch()
    switch mode {
    case .once(let folder): return runJob(in: folder, output, perform)
    case .resident: return runResident(output, perform)
    }
  }

  private static func runJob(in folder: String, _ output: ProtocolOutput, _ perform: (TrainerJob) throws -> Void) -> Int32 {
    do {
      if Termination.isRequested { throw TrainerJobError.cancelled }
      try perform(try TrainerJob(folder: folder, output: output))
      return 0
    } catch TrainerJobError.cancelled {
      return 3
    } catch {
      ProtocolOutput(descriptor: 2).write("\(error)")
      return 1
    }
  }

  private static func runResident(_ output: ProtocolOutput, _ perform: (TrainerJob) throws -> Void) -> Int32 {
    struct Order: Decodable { var job: String }
    struct Answer: Encodable { var done: String, exit: Int32 }
    var pending: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 8192)
    while !Termination.isRequested {
      guard let end = pending.firstIndex(of: UInt8(ascii: "\n")) else {
        let count = read(0, &buffer, buffer.count)
        if count == 0 { return 0 }
        if count > 0 { pending += buffer[..<count] } else if errno != EINTR { return 1 }
        continue
      }
      let line = pending[..<end]
      pending.removeSubrange(...end)
      guard let order = try? JSON.decode(Order.self, from: line) else {
        ProtocolOutput(descriptor: 2).write("a line on standard input is not {\"job\":\"FOLDER\"}: ignored")
        continue
      }
      let exit = runJob(in: order.job, output, perform)
      guard let answer = try? JSON.encode(Answer(done: order.job, exit: exit)) else { return 1 }
      output.write(String(decoding: answer, as: UTF8.self))
      if exit == 3 { return 3 }
    }
    return 0
  }
}
