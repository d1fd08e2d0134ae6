import Glibc
import MusterGround
import MusterIdentity
import MusterSchema

/// `broker-config`: writes the files of a server's own broker into a folder from which mosquitto can read them.
package enum BrokerFiles {
  /// The verb of central and of regions.
  package static let verb = ServerMain.Verb(
    "broker-config", help: "broker-config FOLDER  writes mosquitto.conf, certificates and access rules for this server's broker"
  ) { settings, defaultState, words in
    let state = try await settings.state(default: defaultState)
    let user = try await settings.text("broker.user", default: "mosquitto")
    let host = try await settings.text("broker.bind")
    try settings.refuseUnknownFlags()
    guard words.count == 1, let folder = words.first else {
      throw ConfigurationError("broker-config", "needs the folder for the broker's files, for example /etc/muster/broker")
    }
    guard let identity = try ServerIdentity(in: state) else {
      throw ConfigurationError("state", "\(state) has no identity: run muster-central init, or muster-region enroll with a token, first")
    }
    let absolute = folder.hasPrefix("/") ? folder : "\(Files.currentFolder)/\(folder)"
    try write(identity, to: absolute, readableFor: geteuid() == 0 ? user : nil, bind: host)
    print("\(absolute)/mosquitto.conf is written. Start the broker with: mosquitto -c \(absolute)/mosquitto.conf")
  }

  /// - Parameters:
  ///   - user: the user as which the broker runs; `nil` if it is this process's own.
  ///   - bind: the address that the broker listens on; `nil` stands for all.
  static func write(_ identity: ServerIdentity, to folder: String, readableFor user: String?, bind: String?) throws {
    var group: gid_t?
    if let user {
      guard let entry = getpwnam(user) else {
        throw ConfigurationError("broker.user", "there is no user \"\(user.shown(40))\": install the broker first, or name its user")
      }
      group = entry.pointee.pw_gid
    }
    try Files.makeFolder(folder, mode: group == nil ? 0o700 : 0o750)
    if let group { guard chown(folder, 0, group) == 0 else { throw FileError(.changed, folder, errno) } }
    for (source, name) in [
      (identity.serverCertificateFile, "server.pem"), (identity.folder.keyFile, "server.key"),
      (identity.deviceAuthorityFile, "device-authority.pem"), (identity.revocationsFile, "revoked.pem"), (identity.rulesFile, "acl"),
    ] {
      try put("\(folder)/\(name)", try Files.read(source, atMost: 256 << 20), group)
    }
    let port = HostAndPort(broker: identity.place.broker)?.port ?? 8883
    try put("\(folder)/mosquitto.conf", Array(configuration(folder, port: port, bind: bind).utf8), group)
  }

  private static func put(_ path: String, _ bytes: [UInt8], _ group: gid_t?) throws {
    try Files.replace(path, with: bytes, mode: group == nil ? 0o600 : 0o640, durable: true)
    if let group { guard chown(path, 0, group) == 0 else { throw FileError(.changed, path, errno) } }
  }

  private static func configuration(_ folder: String, port: Int, bind: String?) -> String {
    """
    # Written by broker-config. The certificate of a connection says who it is; acl says what it may do.
    listener \(port)\(bind.map { " \($0)" } ?? "")
    certfile \(folder)/server.pem
    keyfile \(folder)/server.key
    cafile \(folder)/device-authority.pem
    crlfile \(folder)/revoked.pem
    require_certificate true
    use_identity_as_username true
    tls_version tlsv1.2

    per_listener_settings false
    allow_anonymous false
    acl_file \(folder)/acl

    # The programs publish again what they owe, so nothing has to be kept on the disk.
    persistence false
    persistent_client_expiration 1d
    set_tcp_nodelay true

    max_packet_size 131072
    memory_limit 1073741824
    max_connections 20000
    max_keepalive 300
    max_inflight_messages 20
    max_queued_messages 10000
    upgrade_outgoing_qos false

    log_dest stderr
    log_type error
    log_type warning
    log_type notice
    connection_messages true

    """
  }
}
