internal import MusterCoordination
internal import MusterParticipation
internal import MusterSchema

/// The ways in which a device violates the protocol.
enum Lie: CaseIterable {
  /// Reports that it delivered, and did not.
  case saysDone
  /// Ignores invitations.
  case silent
  /// Publishes random statuses.
  case babbles
  /// Uploads different bytes for a contribution that already counts.
  case uploadsTwice
  /// Publishes bytes that no program understands, and statuses in another node's name.
  case garbles
  /// Uploads numbers that are valid on their own, but too large to be added up.
  case exaggerates
  /// Uploads for other devices, or with a ticket that is old, issued for another device, or missing.
  case forges
}

extension DeviceProcess {
  func babbleLater() {
    guard lie == .babbles || lie == .garbles else { return }
    let life = life
    world.after(world.random.within(500...4000)) { [unowned self] _ in
      guard isUp, self.life == life, let lie else { return }
      if let task = world.random.pick(world.directory.tasks) {
        if lie == .babbles { babble(task) } else { garble(task) }
      }
      babbleLater()
    }
  }

  private func babble(_ task: TaskID) {
    let states: [NodeStatus.State] = [.ready, .declined, .accepted, .training, .uploading, .done, .failed, .recruiting, .filled, .short]
    var status = NodeStatus(node: id, task: task, state: world.random.pick(states) ?? .ready)
    status.round = world.random.within(0...3)
    status.attempt = world.random.within(0...3)
    status.phase = world.random.chance(0.5) ? .train : .evaluate
    status.devices = world.random.chance(0.1) ? .max : world.random.within(-1...3)
    status.have = world.random.within(-1...9)
    status.reason = "lies"
    say(status, lasting: true)
  }

  private func garble(_ task: TaskID) {
    let topic = Topic.nodeStatus(coordinator: region, node: id, task: task)
    if world.random.chance(0.5) {
      client.publish(Packet(world.key(topic), .garbage), onlyNow: false, in: world)
    } else {
      // It publishes in central's name.
      let status = NodeStatus(node: .central, task: task, state: .done, round: 1, attempt: 1, phase: .train)
      client.publish(Packet(world.key(topic), .status(status)), onlyNow: false, in: world)
    }
  }

  /// Sends a second upload in addition to its own: for another device, or with a ticket that is not for this contribution.
  ///
  /// - Parameter honest: the upload for which it was invited.
  func forge(_ honest: Upload, to address: String) {
    var forged = honest
    let others = world.devices.filter { $0.id != id }
    if let other = world.random.pick(others), world.random.chance(0.5) {
      forged.scope.path = NodePath(other.region, other.id)
    } else if let (scope, ticket) = world.random.pick(oldTickets(honest.scope)) ?? world.random.pick(overheardTickets(others)) {
      forged.ticket = ticket
      forged.ticketScope = scope
    } else {
      forged.ticket = nil
    }
    ticketsSeen[honest.scope] = honest.ticket
    forged.contribution.path = forged.scope.path
    forged.contribution.digest = world.digest("\(name) forges \(forged.scope)")
    world.note(.fault, name, "forges an upload for \(forged.scope.path)")
    put(forged, to: address) { _ in }
  }

  /// Tickets that it kept from earlier invitations.
  private func oldTickets(_ now: TicketScope) -> [(TicketScope, Ticket)] {
    ticketsSeen.filter { $0.key != now }.map { ($0.key, $0.value) }.sorted { $0.1.text < $1.1.text }
  }

  private func overheardTickets(_ others: [DeviceProcess]) -> [(TicketScope, Ticket)] {
    others.flatMap(\.machine.jobs.values).compactMap { job -> (TicketScope, Ticket)? in
      guard let scope = UploadAddress(job.invitation.upload)?.scope, let ticket = job.invitation.ticket else { return nil }
      return (scope, ticket)
    }.sorted { $0.1.text < $1.1.text }
  }
}
