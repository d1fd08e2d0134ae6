/// A process that answers HTTP.
protocol ExchangeServer: AnyObject {
  var name: String { get }
  var site: Int { get }
  var isUp: Bool { get }
  var life: Int { get }
}

/// A server that counts contributions.
protocol LedgerServer: ExchangeServer {
  var dataPlane: DataPlane { get }
}

extension World {
  /// One HTTP exchange: the request travels, the server handles it, and the answer travels back. The request and the answer may get lost.
  ///
  /// - Parameters:
  ///   - serve: is given a closure that answers; `nil` means 503.
  ///   - done: is called with the answer; `nil` if the client gets none that helps.
  func exchange<Answer>(
    from site: Int, with server: some ExchangeServer, serve: @escaping (@escaping (Answer?) -> Void) -> Void,
    done: @escaping (Answer?) -> Void
  ) {
    let weather = network.weather
    if network.isBlocked(site, server.site) {
      after(10_000) { _ in done(nil) }
      return
    }
    if weather.lostRequest > 0, random.chance(weather.lostRequest) {
      note(.fault, server.name, "a request never arrives")
      after(random.within(10...10_000)) { _ in done(nil) }
      return
    }
    var isDone = false
    func finish(_ answer: Answer?) {
      guard !isDone else { return }
      isDone = true
      done(answer)
    }
    after(lag(site, server.site)) { world in
      guard server.isUp else {
        world.after(world.lag(site, server.site)) { _ in finish(nil) }
        return
      }
      let life = server.life
      world.watch(server, life) { finish(nil) }
      serve { answer in
        guard server.isUp, server.life == life else { return }
        let weather = world.network.weather
        if world.network.isBlocked(site, server.site) {
          world.after(30_000) { _ in finish(nil) }
        } else if weather.lostAnswer > 0, world.random.chance(weather.lostAnswer) {
          world.note(.fault, server.name, "an answer gets lost")
          world.after(world.random.within(1...15_000)) { _ in finish(nil) }
        } else {
          world.after(world.lag(site, server.site)) { _ in finish(answer) }
        }
      }
    }
  }

  /// Breaks off the exchange when the server dies, or takes longer than any client waits.
  private func watch(_ server: some ExchangeServer, _ life: Int, _ broken: @escaping () -> Void) {
    after(2000) { world in
      if !server.isUp || server.life != life {
        broken()
      } else {
        world.after(28_000) { _ in broken() }
      }
    }
  }
}
