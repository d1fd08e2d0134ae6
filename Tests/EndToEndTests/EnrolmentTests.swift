import FoundationEssentials
import Glibc
import Logging
import MusterEnrolment
import MusterIdentity
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// Machines become members of a fleet with identities: the real programs, on loopback.
  @Suite struct EnrolmentTests {
    /// A central that `muster-central init` made, with the region north.
    fileprivate final class Headquarters: Sendable {
      let folder: TemporaryFolder
      let central: ChildProcess
      let data: String
      let ops: String
      private let programs: String

      init() async throws {
        folder = try TemporaryFolder()
        programs = try Checkout.executables()
        let ports = [try freePort(), try freePort()]
        (data, ops) = ("https://localhost:\(ports[0])", "http://127.0.0.1:\(ports[1])")
        let state = folder.file("central")
        let made = try ChildProcess(
          "\(programs)/muster-central", ["init", "--names", "localhost,127.0.0.1", "--state", state, "--data-port", "\(ports[0])"],
          log: folder.file("init.log"))
        #expect(try await made.wait() == 0, "\(made.log)")
        central = try ChildProcess(
          "\(programs)/muster-central", ["--state", state, "--data-host", "127.0.0.1", "--ops-port", "\(ports[1])"],
          log: folder.file("central.log"))
        guard try await eventually(within: .seconds(20), { central.log.contains("muster-central is ready") }) else {
          throw TestSupportError("central does not start: \(central.log)")
        }
        let token = try EnrolmentToken(parsing: try await muster("region", "token", "create", "north", "--name", "north.example.org"))
        _ = try await EnrolmentClient(token, folder: IdentityFolder(folder.file("north"))).enrol(id: nil, host: "north", nodeKind: .region)
        { _ in
        } troubled: { _ in
        }
      }

      /// Runs a command of `muster`, which must succeed.
      func muster(_ arguments: String...) async throws -> String {
        let (status, output) = try await run("muster", arguments + ["--central", ops])
        guard status == 0 else { throw TestSupportError("muster \(arguments.joined(separator: " ")): exit \(status): \(output)") }
        return String(output.prefix { !$0.isNewline })
      }

      func run(_ program: String, _ arguments: [String]) async throws -> (status: Int32, output: String) {
        let process = try ChildProcess(
          "\(programs)/\(program)", arguments, log: folder.file("run-\(UInt32.random(in: .min ... .max)).log"))
        return (try await process.wait(within: .seconds(60)), process.log)
      }

      func enroll(_ token: String, _ name: String, _ more: String...) async throws -> (status: Int32, output: String) {
        try await run("muster-agent", ["enroll", token, "--state", folder.file(name)] + more)
      }

      func identity(_ name: String) -> IdentityFolder { IdentityFolder("\(folder.file(name))/identity") }

      /// A client with the certificate of a device, or without one.
      func client(_ name: String?, trusting: String) throws -> HTTPClient {
        let trust = ClientTLS.Trust.authority(file: identity(trusting).authorityFile)
        guard let name else { return try HTTPClient(HTTPConfiguration(tls: ClientTLS(trust: trust))) }
        let own = identity(name)
        return try HTTPClient(
          HTTPConfiguration(tls: ClientTLS(trust: trust, certificateFile: own.certificateFile, keyFile: own.keyFile)))
      }
    }

    @Test("With one command a device is a member: only members are served, each only under its own path, and a revoked one no more")
    func member() async throws {
      let fleet = try await Headquarters()
      let token = try await fleet.muster("node", "token", "create", "--uses", "2", "--label", "site=hall")
      for name in ["pi-1", "pi-2"] {
        let (status, output) = try await fleet.enroll(token, name, "--id", name)
        #expect(status == 0 && output.contains("region   north"), "\(output)")
        // Repeating it changes nothing.
        let again = try await fleet.enroll(token, name, "--id", name)
        #expect(again.status == 0 && again.output.contains("this device is a member already"), "\(again.output)")
      }
      let (spent, why) = try await fleet.enroll(token, "pi-3")
      #expect(spent == 3 && why.contains("used up"), "\(why)")

      let stranger = try fleet.client(nil, trusting: "pi-1")
      let refused = await #expect(throws: TransferError.self) { try await stranger.send("GET", "\(fleet.data)/v1/descriptors") }
      #expect(refused?.problem?.detail.contains("only members of this fleet") == true, "\(refused.map { "\($0)" } ?? "")")
      let device = try fleet.client("pi-1", trusting: "pi-1")
      #expect(try await device.send("GET", "\(fleet.data)/v1/descriptors").status == 200)
      let forged = await #expect(throws: TransferError.self) {
        try await device.send("PUT", "\(fleet.data)/v1/tasks/digits/rounds/1/updates/north/pi-2", body: [1])
      }
      #expect(forged?.problem?.detail == "the certificate is that of north/pi-1, which may not act for north/pi-2")
      let own = await #expect(throws: TransferError.self) {
        try await device.send("PUT", "\(fleet.data)/v1/tasks/digits/rounds/1/updates/north/pi-1", body: [1])
      }
      #expect(own?.status == 404, "the task is unknown, but the path is its own")

      _ = try await fleet.muster("node", "revoke", "pi-1", "--reason", "stolen")
      // The same connection: a revocation counts at once.
      let revoked = await #expect(throws: TransferError.self) { try await device.send("GET", "\(fleet.data)/v1/descriptors") }
      #expect(revoked?.problem?.detail.hasSuffix(": stolen") == true)
      #expect(try await fleet.client("pi-2", trusting: "pi-1").send("GET", "\(fleet.data)/v1/descriptors").status == 200)
    }

    @Test("A certificate of another fleet's authority does not get in, and a token of one fleet is not used at another's server")
    func foreign() async throws {
      let (fleet, other) = (try await Headquarters(), try await Headquarters())
      let token = try await fleet.muster("node", "token", "create")
      #expect(try await fleet.enroll(token, "pi-1").status == 0)
      #expect(try await other.enroll(try await other.muster("node", "token", "create"), "pi-1").status == 0)
      // The other fleet's device trusts this fleet's server here, so only its own certificate is wrong.
      let own = other.identity("pi-1")
      let client = try HTTPClient(
        HTTPConfiguration(
          tls: ClientTLS(
            trust: .authority(file: fleet.identity("pi-1").authorityFile), certificateFile: own.certificateFile, keyFile: own.keyFile)))
      await #expect(throws: TransferError.self) { try await client.send("GET", "\(fleet.data)/v1/descriptors") }

      // Somebody between the device and central leads it to another server: nothing is sent there.
      let parts = try await fleet.muster("node", "token", "create").split(separator: ".").map(String.init)
      let misleading = [parts[0], parts[1], Base64URL.encode(other.data.utf8), parts[3], parts[4]].joined(separator: ".")
      let (status, output) = try await fleet.enroll(misleading, "pi-2")
      #expect(status == 3 && output.contains("but the token names"), "\(output)")
      #expect(!other.central.log.contains("v1/enrolments"))
    }

    @Test("An id that is taken waits for an operator, who sees the key that the machine shows", .timeLimit(.minutes(1)))
    func taken() async throws {
      let fleet = try await Headquarters()
      let token = try await fleet.muster("node", "token", "create", "--uses", "3")
      #expect(try await fleet.enroll(token, "first", "--id", "pi-1").status == 0)
      async let second = fleet.enroll(token, "second", "--id", "pi-1")
      let waiting = fleet.identity("second")
      #expect(try await eventually(within: .seconds(20)) { try await !fleet.pendingKeys().isEmpty })
      #expect(try await fleet.pendingKeys() == [try waiting.key().fingerprint])
      _ = try await fleet.muster("node", "accept", "pi-1")
      let (status, output) = try await second
      #expect(status == 0, "\(output)")
      // The first key is a stranger from now on.
      let first = try fleet.client("first", trusting: "second")
      let refused = await #expect(throws: TransferError.self) { try await first.send("GET", "\(fleet.data)/v1/descriptors") }
      #expect(refused?.problem?.detail.contains("belongs to no member") == true, "\(refused.map { "\($0)" } ?? "")")
      #expect(try await fleet.client("second", trusting: "second").send("GET", "\(fleet.data)/v1/descriptors").status == 200)
    }

    @Test("A device renews its certificate for the key that it has, and for no other")
    func renewal() async throws {
      let fleet = try await Headquarters()
      #expect(try await fleet.enroll(try await fleet.muster("node", "token", "create"), "pi-1", "--id", "pi-1").status == 0)
      let device = try fleet.client("pi-1", trusting: "pi-1")
      let own = try fleet.identity("pi-1").key()
      let answer = try await device.send(
        "POST", "\(fleet.data)/v1/enrolments/renewal", body: Array(try own.certificateRequest().utf8), contentType: "application/x-pem-file"
      )
      let renewed: Enrolment = try answer.decode()
      let before = try String(contentsOfFile: fleet.identity("pi-1").certificateFile, encoding: .utf8)
      #expect(renewed.certificate != before && renewed.renewSeconds > 59 * 86_400)
      let identity = try #require(try fleet.identity("pi-1").identity())
      try fleet.identity("pi-1").store(identity, certificate: renewed.certificate)
      #expect(try await fleet.client("pi-1", trusting: "pi-1").send("GET", "\(fleet.data)/v1/descriptors").status == 200)
      // Nothing is due yet.
      let renewal = CertificateRenewal(fleet.identity("pi-1"), central: fleet.data, logger: Logger(label: "test"))
      #expect(try await renewal.renewIfDue() > 59 * 86_400)
      #expect(try String(contentsOfFile: fleet.identity("pi-1").certificateFile, encoding: .utf8) == renewed.certificate)
      let other = await #expect(throws: TransferError.self) {
        try await device.send(
          "POST", "\(fleet.data)/v1/enrolments/renewal", body: Array(try MemberKey().certificateRequest().utf8),
          contentType: "application/x-pem-file")
      }
      #expect(other?.problem?.detail.contains("another key") == true)
    }
  }
}

extension EndToEnd.EnrolmentTests.Headquarters {
  fileprivate func pendingKeys() async throws -> [Digest] {
    try await HTTPClient().get([PendingSummary].self, from: "\(ops)/v1/enrolments").map(\.key)
  }
}
