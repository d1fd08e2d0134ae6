/// The built-in trainer's data: the JSON object under `data` in a device's configuration.
///
/// `{"format":"idx","images":FILE,"labels":FILE}`, `{"format":"cifar10","files":[FILE,…]}`, or `{"format":"csv","file":FILE,"label":NAME or
/// POSITION}`. CSV also takes `header` (true by default if `label` is a name), `scale` (a divisor of the values, 1 by default),
/// `classNames` (if labels are words) and `separator`. Each format takes a `partition`. All files may be gzip. All keys: docs/data.md.
package struct DataConfiguration: Codable, Hashable, Sendable {
  package enum Format: String, Codable, Hashable, Sendable { case idx, cifar10, csv }

  package var format: Format
  package var images: String?
  package var labels: String?
  package var files: [String]?
  package var file: String?
  package var label: LabelColumn?
  package var header: Bool?
  package var scale: Double?
  package var classNames: [String]?
  package var separator: String?
  package var partition: Partition?

  package init(images: String, labels: String, partition: Partition? = nil) {
    format = .idx
    self.images = images
    self.labels = labels
    self.partition = partition
  }

  package init(cifar10 files: [String], partition: Partition? = nil) {
    format = .cifar10
    self.files = files
    self.partition = partition
  }

  package init(csv file: String, label: LabelColumn, partition: Partition? = nil) {
    format = .csv
    self.file = file
    self.label = label
    self.partition = partition
  }

  /// All files that it names.
  package var paths: [String] { [images, labels, file].compactMap { $0 } + (files ?? []) }

  /// A copy in which relative paths are relative to `folder`.
  package func resolved(against folder: String) -> DataConfiguration {
    func resolve(_ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }
    var copy = self
    copy.images = images.map(resolve)
    copy.labels = labels.map(resolve)
    copy.file = file.map(resolve)
    copy.files = files?.map(resolve)
    return copy
  }

  /// Reads the files and selects this node's part of the samples.
  package func load() throws(ModelError) -> DataSet {
    let whole = try read()
    guard let partition else { return whole }
    return whole.selecting(try partition.positions(labels: whole.labels))
  }

  private func read() throws(ModelError) -> DataSet {
    switch format {
    case .idx:
      guard let images, let labels else { throw .data(file: "data", "format idx needs `images` and `labels`") }
      return try IDX.read(images: images, labels: labels)
    case .cifar10:
      guard let files else { throw .data(file: "data", "format cifar10 needs `files`") }
      return try CIFAR10.read(files)
    case .csv:
      guard let file, let label else { throw .data(file: "data", "format csv needs `file` and `label`") }
      var named = false
      if case .name = label { named = true }
      let separator = separator ?? ","
      guard let byte = separator.utf8.first, separator.utf8.count == 1, !"\"\r\n".utf8.contains(byte) else {
        throw .data(
          file: file, "`separator` must be one ASCII character and not a quotation mark or line break, got \"\(separator.prefix(40))\"")
      }
      let layout = CSV.Layout(label: label, header: header ?? named, scale: scale ?? 1, classNames: classNames, separator: byte)
      return try CSV.read(file, layout)
    }
  }
}

extension Partition: Codable {
  private enum Kind: String, CodingKey, CaseIterable { case range, iid, shards, dirichlet }
  private enum Field: String, CodingKey { case from, to, of, index, perNode, alpha, seed }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Kind.self)
    guard let kind = container.allKeys.first, container.allKeys.count == 1 else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "a partition must be one of range, iid, shards and dirichlet"))
    }
    let fields = try container.nestedContainer(keyedBy: Field.self, forKey: kind)
    func number(_ field: Field) throws -> Int { try fields.decode(Int.self, forKey: field) }
    let seed = try fields.decodeIfPresent(UInt64.self, forKey: .seed) ?? 1
    switch kind {
    case .range: self = .range(from: try number(.from), to: try number(.to))
    case .iid: self = .iid(of: try number(.of), index: try number(.index), seed: seed)
    case .shards:
      let perNode = try fields.decodeIfPresent(Int.self, forKey: .perNode) ?? 2
      self = .shards(of: try number(.of), index: try number(.index), perNode: perNode, seed: seed)
    case .dirichlet:
      let alpha = try fields.decode(Double.self, forKey: .alpha)
      self = .dirichlet(of: try number(.of), index: try number(.index), alpha: alpha, seed: seed)
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Kind.self)
    switch self {
    case .range(let from, let to):
      var fields = container.nestedContainer(keyedBy: Field.self, forKey: .range)
      try fields.encode(from, forKey: .from)
      try fields.encode(to, forKey: .to)
    case .iid(let nodes, let index, let seed):
      var fields = container.nestedContainer(keyedBy: Field.self, forKey: .iid)
      try Partition.encode(nodes, index, seed, into: &fields)
    case .shards(let nodes, let index, let perNode, let seed):
      var fields = container.nestedContainer(keyedBy: Field.self, forKey: .shards)
      try Partition.encode(nodes, index, seed, into: &fields)
      try fields.encode(perNode, forKey: .perNode)
    case .dirichlet(let nodes, let index, let alpha, let seed):
      var fields = container.nestedContainer(keyedBy: Field.self, forKey: .dirichlet)
      try Partition.encode(nodes, index, seed, into: &fields)
      try fields.encode(alpha, forKey: .alpha)
    }
  }

  private static func encode(
    _ nodes: Int, _ index: Int, _ seed: UInt64, into fields: inout KeyedEncodingContainer<Field>
  ) throws {
    try fields.encode(nodes, forKey: .of)
    try fields.encode(index, forKey: .index)
    try fields.encode(seed, forKey: .seed)
  }
}
