import ArgumentParser

/// `muster task …`
struct TaskCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "task", abstract: "Push, follow and control tasks.",
    subcommands: [
      TaskPush.self, TaskList.self, TaskShow.self, TaskWatch.self, TaskPause.self, TaskResume.self, TaskCancel.self, TaskEvaluate.self,
      TaskReplay.self,
    ])
}
