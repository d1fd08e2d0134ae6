import MusterSchema
import Testing

@testable import MusterAgent

@Suite struct PolicyTests {
  private static let noon = 12 * 60

  @Test(
    "Each rule declines with its own reason",
    arguments: [
      (Policy(), Resources(load: 90, battery: 1), nil),
      (Policy(maxLoad: 2), Resources(load: 2), nil),
      (Policy(maxLoad: 2), Resources(load: 3.5), "load 3.5 is above the 2.0 that the device's owner allows"),
      (Policy(maxLoad: 2), Resources(), nil),
      (Policy(minBattery: 50), Resources(battery: 49), "the battery is at 49 %, below the 50 % that the device's owner requires"),
      (Policy(minBattery: 50), Resources(battery: 49, mains: true), nil),
      (Policy(minBattery: 50), Resources(battery: 50, mains: false), nil),
      (Policy(minBattery: 50), Resources(), nil),
      (Policy(maxCelsius: 70), Resources(celsius: 71.25), "the device is at 71.3 °C, above the 70.0 °C that its owner allows"),
      (Policy(), Resources(diskMiB: 3), "only 3 MiB of disk space are free, but jobs need 16 MiB"),
      (Policy(trainers: ["other"]), Resources(), "the device's owner does not allow the trainer \"built-in\""),
      (Policy(uploadHosts: ["hub.example"]), Resources(), "the device's owner does not allow uploads to 10.0.0.5"),
      (Policy(uploadHosts: ["10.0.0.5"]), Resources(), nil), (Policy(uploadHosts: ["10.0.0.5:7400"]), Resources(), nil),
      (Policy(uploadHosts: ["10.0.0.5:80"]), Resources(), "the device's owner does not allow uploads to 10.0.0.5"),
    ] as [(Policy, Resources, String?)])
  func rules(policy: Policy, resources: Resources, expected: String?) {
    let refusal = policy.refusal(
      trainer: "built-in", uploadsTo: "http://10.0.0.5:7400", resources: resources, minute: Self.noon)
    #expect(refusal?.reason == expected)
  }

  @Test("A device says of its owner's rules what others can judge, and no more than a message holds")
  func announcement() {
    func said(_ policy: Policy, _ resources: Resources = Resources()) -> DevicePolicy? {
      policy.announcement(resources: resources, minute: Self.noon)
    }
    #expect(said(Policy(maxLoad: 2, trainers: ["other"]), Resources(load: 1)) == nil)
    #expect(
      said(Policy(hours: Hours("22-6"))) == DevicePolicy(declines: "the device's owner allows training only at 22-6"))
    #expect(said(Policy(uploadHosts: ["hub.example"])) == DevicePolicy(uploadHosts: ["hub.example"]))
    #expect(said(Policy(uploadHosts: (0..<100).map { "hub-\($0).example" })) == nil)
  }

  @Test("Hours may cross midnight, and say when they open again")
  func hours() throws {
    let hours = try #require(Hours("22-6"))
    #expect(hours.contains(minute: 23 * 60))
    #expect(hours.contains(minute: 0))
    #expect(hours.contains(minute: 5 * 60 + 59))
    #expect(!hours.contains(minute: 6 * 60))
    let refusal = Policy(hours: hours).refusal(trainer: "t", uploadsTo: nil, resources: Resources(), minute: 21 * 60 + 30)
    #expect(refusal?.reason == "the device's owner allows training only at 22-6")
    #expect(refusal?.retrySeconds == 1800)
  }

  @Test("Several spans and minutes are understood")
  func spans() throws {
    let hours = try #require(Hours("12:30-14, 0-1"))
    #expect(hours.contains(minute: 13 * 60))
    #expect(hours.contains(minute: 30))
    #expect(!hours.contains(minute: 12 * 60))
    #expect(hours.minutesUntilOpen(from: 12 * 60) == 30)
    #expect(try #require(Hours("0-24")).contains(minute: 1439))
  }

  @Test("What is no span is refused", arguments: ["", "22", "22-", "25-3", "6-6", "1:60-2", "-1-3", "a-b", "24:30-25"])
  func nonsense(text: String) {
    #expect(Hours(text) == nil)
  }
}

@Suite struct AddressTests {
  private func invitation(_ upload: String, phase: Phase = .train) -> Invitation {
    Invitation(
      task: TaskID(unchecked: "digits"), revision: 1, key: RoundKey(round: 3, phase: phase, attempt: 1), quota: 1, minimum: 1,
      base: ModelReference(digest: Digest(of: []), bytes: 0), upload: upload, seed: 1, secondsLeft: 60, startWithin: 0)
  }

  @Test("The ledger's address is the upload's without the path")
  func ledger() throws {
    let address = try #require(LedgerAddress(invitation("http://h:7400/v1/tasks/digits/rounds/3/updates/north/pi-1")))
    #expect(address.ledger == "http://h:7400/v1/tasks/digits/rounds/3/updates")
    #expect("\(address.path)" == "north/pi-1")
    let behindProxy = try #require(
      LedgerAddress(invitation("https://h/muster/v1/tasks/digits/rounds/3/evaluations/pi-1", phase: .evaluate)))
    #expect(behindProxy.ledger == "https://h/muster/v1/tasks/digits/rounds/3/evaluations")
  }

  @Test(
    "An upload address of another task, round or phase has no ledger",
    arguments: [
      "http://h/v1/tasks/other/rounds/3/updates/pi-1", "http://h/v1/tasks/digits/rounds/4/updates/pi-1",
      "http://h/v1/tasks/digits/rounds/3/evaluations/pi-1", "http://h/v1/tasks/digits/rounds/3/updates/",
      "http://h/v1/tasks/digits/rounds/3/updates/a//b", "ftp://h/v1/tasks/digits/rounds/3/updates/a", "",
    ])
  func foreign(upload: String) {
    #expect(LedgerAddress(invitation(upload)) == nil)
  }

  @Test("An IPv6 host is allowed in either spelling, with or without its port")
  func spellings() {
    let address = "http://[2001:db8::5]:7400/v1/tasks/digits"
    for entry in ["2001:db8::5", "[2001:db8::5]", "[2001:DB8:0::5]:7400"] {
      #expect(Policy(uploadHosts: [entry]).uploadRefusal(address) == nil, "\(entry)")
    }
    #expect(Policy(uploadHosts: ["[2001:db8::5]:80"]).uploadRefusal(address)?.hasSuffix("uploads to [2001:db8::5]") == true)
    #expect(Policy(uploadHosts: ["2001:db8::6"]).uploadRefusal(address) != nil)
  }

  @Test("Hosts are read as a client would reach them, and nothing else is")
  func hosts() {
    #expect(ServerAddress("http://Hub.Example:7400/v1")?.server.description == "hub.example:7400")
    #expect(ServerAddress("https://hub")?.port == 443)
    #expect(ServerAddress("http://[::1]:80/x")?.host.description == "[::1]")
    #expect(ServerAddress("http://allowed@evil/") == nil)
    #expect(ServerAddress("http://") == nil)
    #expect(ServerAddress("http://h:0/") == nil)
    #expect(ServerAddress("file:///etc/passwd") == nil)
  }
}
