package import MusterSchema

/// Which devices there are, and how they behave.
package struct LoadConfiguration: Hashable, Sendable {
  /// The broker's host and port.
  package var host: String
  package var port: Int
  /// Every device, `north/pi-1`: two levels, the region first.
  package var devices: [NodePath]
  /// The one task that is measured.
  package var task: TaskID
  /// HTTP requests under way at a time, of all devices together.
  package var transfers: Int
  /// Connections that are being made at a time.
  package var handshakes = 32
  /// Devices wait for their turn, as the invitation's `startWithin` says. False: all begin at once.
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
