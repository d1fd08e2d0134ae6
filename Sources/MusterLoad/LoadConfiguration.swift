package import MusterSchema

/// The devices to run, and how they behave.
package struct LoadConfiguration: Hashable, Sendable {
  /// The broker's host and port.
  package var host: String
  package var port: Int
  /// The path of every device, such as `north/pi-1`: two levels, with the region first.
  package var devices: [NodePath]
  /// The task that is measured.
  package var task: TaskID
  /// The largest number of HTTP requests at a time, for all devices together.
  package var transfers: Int
  /// The largest number of connections that are being made at a time.
  package var handshakes = 32
  /// Whether devices spread their start as the invitation's `startWithin` says. If false, all begin at once.
  package var spreads: Bool

  package init(host: String, port: Int, devices: [NodePath], task: TaskID, transfers: Int, spreads: Bool) {
    self.host = host
    self.port = port
    self.devices = devices
    self.task = task
    self.transfers = transfers
    self.spreads = spreads
  }
}
