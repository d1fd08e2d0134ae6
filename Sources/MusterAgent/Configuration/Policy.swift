package import MusterSchema

/// The rules of a device's owner, in addition to what tasks require. Each rule declines with its own reason.
package struct Policy: Hashable, Sendable {
  /// `policy.maxLoad`: the highest one-minute load average at which the device takes part.
  package var maxLoad: Double?
  /// `policy.minBattery`: the lowest charge in percent at which the device takes part without mains power.
  package var minBattery: Int?
  /// `policy.maxCelsius`: the highest temperature of the hottest thermal zone.
  package var maxCelsius: Double?
  /// `policy.minDiskMiB`: the free space that jobs need. Default 16.
  package var minDiskMiB: Int
  /// `policy.hours`: `22-6` or `12:30-14,22-6`, in local time by the device's clock, which may be wrong.
  package var hours: Hours?
  /// `policy.trainers`: the configured trainers that may be used. `nil` allows all.
  package var trainers: [String]?
  /// `policy.uploadHosts`: allowed destinations, `host` or `host:port`. An empty list allows any.
  package var uploadHosts: [String]

  package init(
    maxLoad: Double? = nil, minBattery: Int? = nil, maxCelsius: Double? = nil, minDiskMiB: Int = 16, hours: Hours? = nil,
    trainers: [String]? = nil, uploadHosts: [String] = []
  ) {
    self.maxLoad = maxLoad
    self.minBattery = minBattery
    self.maxCelsius = maxCelsius
    self.minDiskMiB = minDiskMiB
    self.hours = hours
    self.trainers = trainers
    self.uploadHosts = uploadHosts
  }

  init(_ settings: inout AgentSettings, trainers configured: Set<String>) throws(AgentConfigurationError) {
    maxLoad = try settings.number("policy.maxLoad", in: 0...10_000)
    minBattery = try settings.integer("policy.minBattery", in: 0...100)
    maxCelsius = try settings.number("policy.maxCelsius", in: -50...200)
    minDiskMiB = try settings.integer("policy.minDiskMiB", in: 0...1_000_000_000, else: 16)
    if let text = try settings.text("policy.hours") {
      guard let hours = Hours(text) else {
        throw AgentConfigurationError("policy.hours", in: settings.lastOrigin, "must be hours of the day, such as 22-6 or 12:30-14,22-6")
      }
      self.hours = hours
    }
    trainers = try settings.texts("policy.trainers")
    for name in trainers ?? [] where !configured.contains(name) {
      throw AgentConfigurationError(
        "policy.trainers", in: settings.lastOrigin,
        "the trainer \"\(name.withoutControlCharacters)\" is not configured; configured trainers: \(configured.sorted().joined(separator: ", "))"
      )
    }
    uploadHosts = try settings.texts("policy.uploadHosts") ?? []
    for host in uploadHosts {
      do {
        _ = try HostAndPort(validating: host, defaultPort: 1)
      } catch {
        throw AgentConfigurationError("policy.uploadHosts", in: settings.lastOrigin, "\(error)")
      }
    }
  }

  /// The reason why the device does not take part now; `nil` when it may.
  ///
  /// - Parameters:
  ///   - address: the destination of the task's contributions, if it is known yet.
  ///   - minute: the minute of the day in local time.
  package func refusal(trainer: TrainerSelection, uploadsTo address: String?, resources: Resources, minute: Int) -> (
    reason: String, retrySeconds: Double?
  )? {
    if let trainers, !trainer.names.contains(where: trainers.contains) {
      return ("the device's owner does not allow the trainer \"\(trainer)\"", nil)
    }
    if let address, let why = uploadRefusal(address) { return (why, nil) }
    return objection(resources: resources, minute: minute)
  }

  /// Applies the owner's rules that do not depend on the task. Returns why the device takes part in no task now, or `nil`.
  private func objection(resources: Resources, minute: Int) -> (reason: String, retrySeconds: Double?)? {
    if let hours, !hours.contains(minute: minute) {
      return ("the device's owner allows training only at \(hours)", Double(hours.minutesUntilOpen(from: minute)) * 60)
    }
    if let minBattery, let charge = resources.battery, charge < minBattery, resources.mains != true {
      return ("the battery is at \(charge) %, below the \(minBattery) % that the device's owner requires", 300)
    }
    if let maxCelsius, let celsius = resources.celsius, celsius > maxCelsius {
      return ("the device is at \(oneDecimal(celsius)) °C, above the \(oneDecimal(maxCelsius)) °C that its owner allows", 60)
    }
    if let maxLoad, let load = resources.load, load > maxLoad {
      return ("load \(oneDecimal(load)) is above the \(oneDecimal(maxLoad)) that the device's owner allows", 30)
    }
    if let disk = resources.diskMiB, disk < minDiskMiB {
      return ("only \(disk) MiB of disk space are free, but jobs need \(minDiskMiB) MiB", 300)
    }
    return nil
  }

  /// The reason why nothing may be uploaded to an address; `nil` when uploads to it are allowed.
  package func uploadRefusal(_ address: String) -> String? { DevicePolicy.refusal(of: address, allowing: uploadHosts) }

  /// The part of the policy that is published in the node's state. A list of upload hosts over 512 bytes is left out, because the message
  /// may have at most 4 KiB. The device then declines when it is asked.
  package func announcement(resources: Resources, minute: Int) -> DevicePolicy? {
    let declines = objection(resources: resources, minute: minute)?.reason
    let hosts = uploadHosts.isEmpty || uploadHosts.reduce(0, { $0 + $1.utf8.count + 3 }) > 512 ? nil : uploadHosts
    return declines == nil && hosts == nil ? nil : DevicePolicy(declines: declines, uploadHosts: hosts)
  }
}

/// Spans of the day in minutes. A span may go over midnight.
package struct Hours: Hashable, Sendable, CustomStringConvertible {
  private let spans: [Range<Int>]
  package let description: String

  /// Parses `22-6` or `12:30-14,22-6`.
  package init?(_ text: String) {
    var spans: [Range<Int>] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Self.minute($0) }
      guard ends.count == 2, let start = ends[0], let end = ends[1], start != end, start < 1440 else { return nil }
      spans.append(start..<(end > start ? end : end + 1440))
    }
    guard !spans.isEmpty else { return nil }
    self.spans = spans
    description = text.split(separator: " ").joined()
  }

  private static func minute(_ text: Substring) -> Int? {
    let parts = text.drop { $0 == " " }.split(separator: ":", omittingEmptySubsequences: false).map {
      $0.allSatisfy(\.isNumber) ? Int($0) : nil
    }
    guard (1...2).contains(parts.count), let hour = parts[0], let minute = parts.count == 2 ? parts[1] : 0, (0...24).contains(hour),
      (0...59).contains(minute), hour * 60 + minute <= 1440
    else { return nil }
    return hour * 60 + minute
  }

  package func contains(minute: Int) -> Bool { spans.contains { $0.contains(minute) || $0.contains(minute + 1440) } }

  func minutesUntilOpen(from minute: Int) -> Int {
    spans.map { ($0.lowerBound - minute + 1440) % 1440 }.min() ?? 0
  }
}

func oneDecimal(_ value: Double) -> String {
  guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
  let tenths = Int64((value * 10).rounded())
  return "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
}
