internal import MusterTensors

/// A run of neighboring elements of one tensor, in all updates of a cohort.
///
/// Slices are short enough that the base, a sum and one update stay in the processor's cache.
///
/// Differences D_i = w_i − w are computed in `Double` when they are asked for.
public final class CohortSlice {
  /// Maximum number of elements in a slice.
  public static let capacity = 8192

  /// The cohort's updates, in the order of `Cohort.updates`.
  public let updates: [Update]
  /// The tensor's name.
  public private(set) var tensor = ""
  /// Whether the tensor is a buffer of the model: state rather than parameters.
  public private(set) var isBuffer = false
  /// The range of the tensor's elements in this slice, counted in row-major order.
  public private(set) var elements = 0..<0
  /// Reasons, by index, for updates that turned out unusable while they were read. Sums that include such an update are void.
  var rejected: [Int: String] = [:]
  /// Bytes of data read.
  var bytesRead = 0

  let cohort: Cohort
  let length: Int
  private(set) var position = 0
  /// The content of all updates, if their values of this tensor are floats (or convert to `Float` exactly) and cannot leave the base's
  /// range: then they only have to be finite. Otherwise `nil`.
  private(set) var floatContent: Update.Content?
  /// The element type in which weighted sums read those values.
  private(set) var summedElement = RowBlock.Element.float
  /// Number of elements per scale, if all updates hold this tensor as I8 differences (which only have to stay in range); otherwise `nil`.
  private(set) var scaledChannel: Int?
  let baseBuffer: UnsafeMutableBufferPointer<Double>
  private let scratch: UnsafeMutableBufferPointer<Double>
  var matrix: UnsafeMutableBufferPointer<Double>?
  let pointers: UnsafeMutableBufferPointer<UnsafeRawPointer?>
  var columns: UnsafeMutableRawPointer?
  var decoded: UnsafeMutableBufferPointer<Float>?
  let weights: UnsafeMutableBufferPointer<Double>
  /// One row for each update that is read rather than mapped. `held` says for each row which slice it holds.
  private var window: UnsafeMutableRawPointer?
  /// Bytes from one row of the window to the next. Not a power of two, because such rows would evict each other from the nearest cache.
  private let stride: Int
  private var held: [Int]
  private var number = 0

  init(_ cohort: Cohort, length: Int) {
    self.cohort = cohort
    self.length = min(length, Self.capacity)
    updates = cohort.updates
    baseBuffer = .allocate(capacity: self.length)
    scratch = .allocate(capacity: self.length)
    pointers = .allocate(capacity: updates.count)
    pointers.initialize(repeating: nil)
    weights = .allocate(capacity: updates.count)
    held = [Int](repeating: 0, count: updates.count)
    stride = self.length * (updates.flatMap { $0.file.file.tensors.map(\.dtype.byteSize) }.max() ?? 1) + 64
  }

  deinit {
    baseBuffer.deallocate()
    scratch.deallocate()
    pointers.deallocate()
    matrix?.deallocate()
    columns?.deallocate()
    decoded?.deallocate()
    weights.deallocate()
    window?.deallocate()
  }

  /// Slice length for this number of updates: their parts together, 1 MiB as floats, stay in the cache next to the processor (L2).
  static func length(updates: Int) -> Int { max(64, min(capacity, (1 << 18) / max(1, updates) / 64 * 64)) }

  /// Slice length for updates that are decoded: the decoded floats, 128 KiB, stay even nearer to the processor.
  static func decodedLength(updates: Int) -> Int { max(64, min(capacity, (1 << 15) / max(1, updates) / 64 * 64)) }

  /// Slice length for updates that are read: longer, because a system call per slice costs more than fetching from the next cache.
  static func readLength(updates: Int) -> Int { max(64, min(capacity, (1 << 21) / max(1, updates) / 64 * 64)) }

  /// The number of elements in this slice.
  public var count: Int { elements.count }

  /// The base model's elements w, `count` of them.
  public var base: UnsafeBufferPointer<Double> { UnsafeBufferPointer(rebasing: baseBuffer[0..<count]) }

  /// - Parameter loadingBase: with `false`, `body` must call `loadBase()` before it, or a rule, uses the base or a difference.
  func forEach<Failure: Error>(
    in piece: Piece, loadingBase: Bool = true, _ body: (CohortSlice) throws(Failure) -> Void
  ) throws(Failure) {
    let info = cohort.tensors[piece.tensor]
    position = piece.tensor
    tensor = info.name
    isBuffer = cohort.buffers.contains(info.name)
    floatContent = commonFloatContent()
    summedElement = commonSummedElement()
    scaledChannel = commonScaledChannel()
    var start = piece.elements.lowerBound
    while start < piece.elements.upperBound {
      elements = start..<min(start + length, piece.elements.upperBound)
      number += 1
      bytesRead += count * info.dtype.byteSize
      if loadingBase { loadBase() }
      try body(self)
      start = elements.upperBound
    }
  }

  func loadBase() {
    let info = cohort.tensors[position]
    cohort.base.withBytes(of: info, elements: elements) { Conversion.load($0, info.dtype, into: baseBuffer) }
  }

  private func commonFloatContent() -> Update.Content? {
    guard let content = updates.first?.content else { return nil }
    let base = cohort.tensors[position].dtype
    let fits = updates.allSatisfy { update in
      guard update.content == content, case .plain(let info) = update.tensors[position].storage, info.dtype != .f64 else { return false }
      let dtype = info.dtype
      if base.byteSize >= 4 { return true }
      return content == .parameters && (dtype == base || dtype == .f16)
    }
    return fits ? content : nil
  }

  /// The factor by which filters scale this update's difference; 1 for buffers, which are not scaled.
  func scale(of index: Int) -> Double { isBuffer ? 1 : updates[index].scale }

  /// The common case: unscaled `Float` parameters, and a base that can hold any `Float`. Then the numbers only have to be finite.
  func isPlain(_ index: Int) -> Bool {
    let update = updates[index]
    guard case .plain(let info) = update.tensors[position].storage else { return false }
    return info.dtype == .f32 && update.content == .parameters && scale(of: index) == 1
      && cohort.tensors[position].dtype.byteSize >= 4
  }

  /// Adds `factor` times one update's difference to `sum`.
  ///
  /// - Parameters:
  ///   - index: index of the update in `updates`.
  ///   - sum: `count` elements.
  public func addDifference(of index: Int, times factor: Double, to sum: UnsafeMutableBufferPointer<Double>) {
    precondition(sum.count >= count, "the sum has \(sum.count) elements, but the slice has \(count)")
    guard rejected[index] == nil else { return }
    let update = updates[index]
    let info = update.tensors[position]
    let factor = factor * scale(of: index)
    if case .sparse = info.storage, update.content == .delta { return addSparse(index, times: factor, to: sum) }
    if case .plain(let own) = info.storage, own.dtype == .f32, update.content == .parameters,
      cohort.tensors[position].dtype.byteSize >= 4
    {
      let raw = bytes(of: index, own)
      bytesRead += raw.count
      guard let base = baseBuffer.baseAddress, let sum = sum.baseAddress else { return }
      if !Rows.addDifference(ofFloats: raw, base: base, times: factor, to: sum) { rejected[index] = Cohort.nonFiniteReason(tensor) }
    } else if !loadScratch(from: index) {
      rejected[index] = Cohort.nonFiniteReason(tensor)
    } else {
      addDifference(ofScratch: update.content, of: index, times: factor, to: sum)
    }
  }

  /// Loads one update's values into `scratch` as `Double`, from whichever form its file has.
  ///
  /// - Returns: whether all values are finite.
  private func loadScratch(from index: Int) -> Bool {
    let info = updates[index].tensors[position]
    switch info.storage {
    case .plain(let own):
      let raw = bytes(of: index, own)
      bytesRead += raw.count
      Conversion.load(raw, own.dtype, into: scratch)
      return !Conversion.hasNonFinite(raw, own.dtype)
    case .scaled(let own, let scales, let channel):
      let raw = bytes(of: index, own)
      bytesRead += raw.count
      for (i, value) in raw.enumerated() {
        scratch[i] = Double(Int8(bitPattern: value)) * Double(scales[(elements.lowerBound + i) / channel])
      }
      return true
    case .sparse:
      UnsafeMutableBufferPointer(rebasing: scratch[0..<count]).update(repeating: 0)
      let seen = updates[index].file.forEachValue(of: info, in: elements) { scratch[$0] = Double($1) }
      bytesRead += seen.bytesRead
      return seen.isFinite
    }
  }

  private func addDifference(
    ofScratch content: Update.Content, of index: Int, times factor: Double, to sum: UnsafeMutableBufferPointer<Double>
  ) {
    guard let values = scratch.baseAddress, let target = sum.baseAddress, let base = baseBuffer.baseAddress else { return }
    let limit = cohort.tensors[position].dtype.greatestFiniteMagnitude
    // Collected with bit operations instead of early exits, which keeps the loops free of branches.
    var outside = 0
    switch content {
    case .parameters:
      for i in 0..<count {
        let difference = values[i] - base[i]
        outside |= values[i].magnitude <= limit ? 0 : 1
        outside |= difference.magnitude <= .greatestFiniteMagnitude ? 0 : 1
        values[i] = difference
      }
    case .delta:
      for i in 0..<count { outside |= (base[i] + values[i]).magnitude <= limit ? 0 : 1 }
    }
    guard outside == 0 else { return rejectRange(index) }
    for i in 0..<count { target[i] += factor * values[i] }
  }

  func rejectRange(_ index: Int) {
    rejected[index] = "tensor \(shown(tensor)) exceeds the range of the base's \(cohort.tensors[position].dtype.rawValue)"
  }

  /// The slice's bytes of an update's tensor that is not encoded. Valid until the next slice.
  func plainBytes(of index: Int) -> UnsafeRawBufferPointer {
    guard case .plain(let info) = updates[index].tensors[position].storage else {
      preconditionFailure("\(tensor) of \(updates[index].path) is encoded")
    }
    return bytes(of: index, info)
  }

  /// The slice's bytes of one of an update's tensors. Valid until the next slice. If the file can no longer be read, the bytes are zeros
  /// and the update is rejected.
  func bytes(of index: Int, _ info: TensorInfo) -> UnsafeRawBufferPointer {
    // A mapping lives as long as the update, which outlives this slice.
    guard updates[index].file.file.isReadable else { return updates[index].file.file.withBytes(of: info, elements: elements) { $0 } }
    let size = count * info.dtype.byteSize
    let rows = window ?? .allocate(byteCount: updates.count * stride, alignment: 64)
    window = rows
    let row = UnsafeMutableRawBufferPointer(start: rows + index * stride, count: size)
    if held[index] != number {
      if !updates[index].file.file.read(info, elements, into: rows + index * stride) {
        row.initializeMemory(as: UInt8.self, repeating: 0)
        rejected[index] = "its file can no longer be read"
      }
      held[index] = number
    }
    return UnsafeRawBufferPointer(row)
  }

  /// Writes one update's difference D_i.
  ///
  /// - Parameters:
  ///   - index: index of the update in `updates`.
  ///   - out: receives `count` elements.
  public func difference(of index: Int, into out: UnsafeMutableBufferPointer<Double>) {
    UnsafeMutableBufferPointer(rebasing: out[0..<count]).update(repeating: 0)
    addDifference(of: index, times: 1, to: out)
  }
}

extension DType {
  /// The largest finite value of a floating-point dtype.
  var greatestFiniteMagnitude: Double {
    switch self {
    case .f32: Double(Float.greatestFiniteMagnitude)
    case .f16: 65504
    case .bf16: 0x1.fep127
    case .f64, .i64, .i32, .i16, .i8, .u8, .bool: .greatestFiniteMagnitude
    }
  }
}
