internal import Glibc
internal import MusterSchema

/// The main function of a trainer's program: runs one job, or many as a resident process.
public enum TrainerMain {
  /// How the program gets its jobs.
  public enum Mode: Hashable, Sendable {
    /// Runs the job in this folder.
    case once(folder: String)
    /// Reads lines `{"job":"FOLDER"}` from standard input, answers each with `{"done":"FOLDER","exit":0}`, and ends when its input ends.
    case resident
  }

  /// Runs until the job or the input ends. From here on, standard output is reserved for the protocol; messages go to standard error.
  ///
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
    struct JobLine: Decodable { var job: String }
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
      // A line that does not name a job is reported and skipped: it must not end a trainer that serves other jobs.
      guard let request = try? JSON.decode(JobLine.self, from: line) else {
        ProtocolOutput(descriptor: 2).write("ignored a line on standard input that is not {\"job\":\"FOLDER\"}")
        continue
      }
      let exit = runJob(in: request.job, output, perform)
      // A string and an integer can always be encoded. Without an answer the agent would wait, so the process would have to end.
      guard let answer = try? JSON.encode(Answer(done: request.job, exit: exit)) else { return 1 }
      output.write(String(decoding: answer, as: UTF8.self))
      if exit == 3 { return 3 }
    }
    return 0
  }
}
