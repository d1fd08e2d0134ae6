internal import MusterCoordination
internal import MusterSchema

extension World {
  var clients: [Client] { [central.client] + regions.flatMap { [$0.above, $0.below] } + devices.map(\.client) }
  var siteCount: Int { 1 + regions.count + brokers.count + devices.count }

  /// Lets both sides of connections whose path has just been cut notice that.
  func silence() {
    for broker in brokers {
      for connection in broker.connections where network.isBlocked(connection.client.site, broker.site) { watchSilence(connection) }
    }
  }

  /// Delivers what was held back on paths that are open again.
  func reopen() {
    for broker in brokers {
      for connection in broker.connections where !network.isBlocked(connection.client.site, broker.site) { flush(connection) }
    }
    for client in clients {
      guard let connection = client.connection, !network.isBlocked(client.site, connection.broker.site) else { continue }
      flush(connection)
      // The broker gave up the connection meanwhile, and its last packet did not get through.
      if !connection.isOpenAtBroker { after(lag(client.site, connection.broker.site)) { client.lost(connection, in: $0) } }
    }
  }

  func reopenAll() {
    network.openAll()
    reopen()
    for client in clients where client.isConnected && client.mayHaveMissed { client.renew(after: 0, in: self) }
  }
}

extension ServerDriver {
  /// From now on the disk works, and nothing stops or kills the process.
  func heal() {
    disk.isFailing = false
    disk.latency = 1...3
    frozenUntil = 0
    diesAtBoundary = nil
  }
}

extension CentralProcess {
  func heal() {
    shell.heal()
    if !isUp { start() }
  }
}

extension RegionProcess {
  func heal() {
    shell.heal()
    if !isUp { start() }
  }
}

extension DeviceProcess {
  /// Ends lies and faults. A liar, or a device whose trainer hangs, is restarted by its owner.
  func heal() {
    let isSuspect = lie != nil || hangs
    lie = nil
    declines = nil
    diesAtBoundary = nil
    if isUp, isSuspect { die(power: false) } else if !isUp { start() }
  }
}
