import ArgumentParser
import FoundationEssentials
import Glibc
import MusterSchema
import MusterTaskFiles

/// `muster tail [TASK]`
struct TailCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tail", abstract: "Print the MQTT messages of a fleet as they arrive.",
    discussion: """
      The broker is the one that central names. If regions have their own brokers, name those with --broker. The password for --username is \
      read from MUSTER_BROKER_PASSWORD. Tickets and grants are never shown.
      """)

  @Argument(help: "Show only this task, and which nodes come and go.", transform: identifier)
  var task: TaskID?

  @Option(help: ArgumentHelp("A broker to use instead of central's, as mqtt://HOST:PORT. Can be repeated.", valueName: "url"))
  var broker: [String] = []

  @Option(help: ArgumentHelp("The user name for the broker.", valueName: "name"))
  var username: String?

  @Option(help: ArgumentHelp("A PEM file with the authority that signed the certificate of an mqtts:// broker.", valueName: "file"))
  var ca: String?

  @Flag(help: "Print topics and payloads unchanged.")
  var raw = false

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    var addresses: [TopicTail.Address] = []
    for text in broker { addresses.append(try TopicTail.Address(parsing: text)) }
    if addresses.isEmpty { addresses = [try TopicTail.Address(parsing: try await server.client().info().broker)] }
    let password = username == nil ? nil : ProcessInfo.processInfo.environment["MUSTER_BROKER_PASSWORD"]
    let printer = TailPrinter(style: raw ? .raw : format.output == .json ? .json : .timeline, showsTask: task == nil)
    let filters = TopicTail.filters(task)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for address in addresses {
        let authority = address.isTLS ? ca ?? "/etc/ssl/certs/ca-certificates.crt" : nil
        let tail = TopicTail(address: address, username: username, password: password, authorityFile: authority)
        group.addTask { try await tail.run(filters) { try await printer.show($0) } }
      }
      try await group.waitForAll()
    }
  }
}

/// Prints messages of several brokers, one at a time.
private actor TailPrinter {
  enum Style { case timeline, raw, json }

  private let style: Style
  private var timeline: Timeline
  private let terminal = Terminal.output

  init(style: Style, showsTask: Bool) {
    self.style = style
    timeline = Timeline(showsTask: showsTask)
  }

  func show(_ message: TopicTail.Message) throws {
    switch style {
    case .raw: try Console.print("\(message.topic.withoutControlCharacters) \(Masking.text(message.payload))")
    case .json:
      try Console.print(TailLine.json(message, time: Int(time(nil))))
    case .timeline:
      let line = timeline.line(
        topic: message.topic, payload: message.payload, clock: Words.now, isKept: message.isKept, ink: Ink(terminal))
      try Console.print(terminal.isTerminal ? line.cut(to: terminal.width) : line)
    }
  }
}

/// Formats a message as a line of JSON.
enum TailLine {
  /// `{"time":SECONDS SINCE 1970,"kept":…,"topic":…,"message":{…}}`. A payload that is not JSON is given as a string under `payload`.
  static func json(_ message: TopicTail.Message, time: Int) -> String {
    let text = Masking.text(message.payload)
    let body = isJSON(text) ? "\"message\":\(text)" : "\"payload\":\(OrderedJSON.quote(text))"
    return "{\"time\":\(time),\"kept\":\(message.isKept),\"topic\":\(OrderedJSON.quote(message.topic)),\(body)}"
  }

  private static func isJSON(_ text: String) -> Bool {
    do {
      _ = try JSON.decode(Anything.self, from: text.utf8)
      return true
    } catch {
      return false
    }
  }

  /// Accepts any document: the decoder parses it as a whole before it asks for values.
  private struct Anything: Decodable {
    init(from decoder: any Decoder) throws {}
  }
}
