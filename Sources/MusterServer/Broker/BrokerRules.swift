package import MusterSchema

/// The access rules (mosquitto's `acl_file`) of a broker in a fleet with identities. The user of a connection is the id in its certificate.
package enum BrokerRules {
  /// A region's broker. The rules do not change when devices come and go: the broker replaces `%u` by the id
  /// of the connected device.
  package static func region(_ region: NodeID) -> String {
    let root = "muster/v1/\(region)"
    return """
      user \(region)
      topic readwrite \(root)/#

      pattern read \(root)/state
      pattern read \(root)/tasks/+
      pattern readwrite \(root)/nodes/%u/state
      pattern write \(root)/nodes/%u/tasks/+
      pattern read \(root)/nodes/%u/invitations/+

      """
  }

  /// Central's broker: rules for each region, and none for devices.
  package static func central(regions: [NodeID]) -> String {
    let root = "muster/v1/central"
    return ["user central\ntopic readwrite \(root)/#\n"].joined()
      + regions.map { region in
        """

        user \(region)
        topic read \(root)/state
        topic read \(root)/tasks/+
        topic readwrite \(root)/nodes/\(region)/state
        topic write \(root)/nodes/\(region)/tasks/+
        topic read \(root)/nodes/\(region)/invitations/+

        """
      }.joined()
  }
}
