import MusterParticipation
import MusterSchema
import MusterTransfer

extension DeviceLoop {
  /// Queues a transfer for a device, which has one at a time. If it has the same transfer already, nothing changes.
  func place(_ transfer: Transfer) {
    if let current = devices[transfer.device].transfer, current.isSame(as: transfer) { return }
    devices[transfer.device].transfer = transfer
    enqueue(transfer)
  }

  func enqueue(_ transfer: Transfer) { waiting.append(transfer) }

  /// Starts waiting transfers up to the limit on transfers at a time.
  func startTransfers() {
    while underWay < configuration.transfers, firstWaiting < waiting.count {
      let transfer = waiting[firstWaiting]
      firstWaiting += 1
      // The job may have been dropped or superseded while the transfer waited.
      guard let job = devices[transfer.device].participant.jobs[transfer.job.task], job.isSameWork(as: transfer.job.key) else { continue }
      underWay += 1
      var current = transfer
      // Use the newest invitation, because another attempt has another deadline.
      current.job = job
      link.start.yield(current)
    }
    if firstWaiting == waiting.count || firstWaiting > 4096 {
      waiting.removeFirst(firstWaiting)
      firstWaiting = 0
    }
  }

  /// Handles the end of a transfer, and tells the device's machine the outcome.
  func ended(_ end: TransferEnd) throws {
    underWay -= 1
    let transfer = end.transfer
    let (index, task, key) = (transfer.device, transfer.job.task, transfer.job.key)
    if devices[index].transfer?.isSame(as: transfer) == true { devices[index].transfer = nil }
    switch end.outcome {
    case .fetched(let result): try receive(.finished(task, key, result), at: index)
    case .delivered:
      change(key) { round in
        if let invited = round.invited[index] { round.delivered.append((end.at - invited) / .seconds(1)) }
        round.lastDelivered = max(round.lastDelivered ?? end.at, end.at)
      }
      if key.phase == .train, key.round == progress.round { progress.delivered += 1 }
      try receive(.delivered(task, key), at: index)
    case .failed(let error): try failed(transfer, error)
    }
  }

  private func failed(_ transfer: Transfer, _ error: TransferError) throws {
    let (index, task, key) = (transfer.device, transfer.job.task, transfer.job.key)
    // The run has ended.
    if error == .cancelled { return }
    change(key) { $0.refusals[error.refusal, default: 0] += 1 }
    switch (transfer.kind, error.status) {
    // The ledger has accepted this device's contribution already.
    case (.upload, 409): return try receive(.delivered(task, key), at: index)
    case (.upload, 404), (.upload, 410): return try receive(.refused(task, key, reason: "\(error)"), at: index)
    default: break
    }
    guard let pause = error.pause(transfer.attempt) else {
      return try receive(.failed(task, key, reason: "\(error)"), at: index)
    }
    var again = transfer
    again.attempt += 1
    devices[index].transfer = again
    timers.add(.transfer(again), due: .now + pause)
    try receive(.hindered(task, key, reason: "\(error)"), at: index)
  }
}
