internal import MusterTensors

/// Some neighbouring elements of one tensor, in all updates of a cohort: few enough that the base, a sum and an update stay in the
/// processor's cache.
///
/// Differences D_i = w_i − w are computed in `Double`, as they are asked for.
public final class CohortSlice {
  /// Elements in a slice at most.
  public static let capacity = 8192

  /// In the order of `Cohort.updates`.
  public let updates: [Update]
  /// The tensor's name.
  public private(set) var tensor = ""
  /// Whether the tensor is a buffer of the model: state and not parameters.
  public private(set) var isBuffer = false
  /// Which of its elements, counted row by row.
  public private(set) var elements = 0..<0
  /// Why updates, by index, cannot count: met while reading them. What they gave to a combination is void.
  var rejected: [Int: String] = [:]
  /// Bytes of data looked at.
  var bytesRead = 0

  let cohort: Cohort
  let length: Int
  private(set) var position = 0
  /// What all updates hold of this tensor, where their numbers are floats in range, or become floats exactly: they only have to be finite.
  private(set) var floatContent: Update.Content?
  /// What weighted sums read those as.
  private(set) var summedElement = RowBlock.Element.float
  /// Where all updates hold differences as I8: for how many elements a scale is. They only have to stay in range.
  private(set) var scaledChannel: Int?
  let baseBuffer: UnsafeMutableBufferPointer<Double>
  private let scratch: UnsafeMutableBufferPointer<Double>
  var matrix: UnsafeMutableBufferPointer<Double>?
  let pointers: UnsafeMutableBufferPointer<UnsafeRawPointer?>
  var columns: UnsafeMutableRawPointer?
  var decoded: UnsafeMutableBufferPointer<Float>?
  let weights: UnsafeMutableBufferPointer<Double>
  /// A row for each update whose file is read, and the slice that it holds.
  private var window: UnsafeMutableRawPointer?
  /// Bytes from one row of the window to the next. Not a power of two: rows that lie so would push each other out of the nearest cache.
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

  /// How long slices of so many updates are: the updates' parts together stay in the cache next to the processor.
  static func length(updates: Int) -> Int { max(64, min(capacity, (1 << 18) / max(1, updates) / 64 * 64)) }

  /// The same where updates are decoded: what they become is to stay nearer still.
  static func decodedLength(updates: Int) -> Int { max(64, min(capacity, (1 << 15) / max(1, updates) / 64 * 64)) }

  /// The same where updates are read: a call for each slice of each of them costs more than a way to the next cache.
  static func readLength(updates: Int) -> Int { max(64, min(capacity, (1 << 21) / max(1, updates) / 64 * 64)) }

  /// The number of elements.
  public var count: Int { elements.count }

  /// The base model's elements, w.
  public var base: UnsafeBufferPointer<Double> { UnsafeBufferPointer(rebasing: baseBuffer[0..<count]) }

  /// - Parameter loadingBase: false leaves it to `body` to call `loadBase()` before it, or a rule, asks for the base or a difference.
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

  /// What a filter shrinks this update's difference by: buffers are not shrunk.
  func scale(of index: Int) -> Double { isBuffer ? 1 : updates[index].scale }

  /// The common case: `Float` parameters, as they are, of a base that can hold them. They only have to be finite.
  func isPlain(_ index: Int) -> Bool {
    let update = updates[index]
    guard case .plain(let info) = update.tensors[position].storage else { return false }
    return info.dtype == .f32 && update.content == .parameters && scale(of: index) == 1
      && cohort.tensors[position].dtype.byteSize >= 4
  }

  /// Adds `factor` times one update's difference to `sum`.
  ///
  /// - Parameters:
  ///   - index: of the update.
  ///   - sum: `count` elements.
  public func addDifference(of index: Int, times factor: Double, to sum: UnsafeMutableBufferPointer<Double>) {
    precondition(sum.count >= count, "a sum of \(sum.count) elements, the slice has \(count)")
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

  /// Brings one update's numbers into the scratch, in double, whatever they travel in.
  ///
  /// - Returns: whether they are all finite.
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
    // Gathered, not asked one by one: that keeps the loops free of branches.
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
    rejected[index] = "tensor \(shown(tensor)) leaves the range of the base's \(cohort.tensors[position].dtype.rawValue)"
  }

  /// The slice's bytes of an update's tensor that lies as it is. Valid until the next slice.
  func plainBytes(of index: Int) -> UnsafeRawBufferPointer {
    guard case .plain(let info) = updates[index].tensors[position].storage else {
      preconditionFailure("\(tensor) of \(updates[index].path) is encoded")
    }
    return bytes(of: index, info)
  }

  /// The slice's bytes of one of an update's tensors. Valid until the next slice. Zeros where the file cannot be read any more: then the
  /// update is rejected.
  func bytes(of index: Int, _ info: TensorInfo) -> UnsafeRawBufferPointer {
    // A mapping lives as long as the update, longer than this slice.
    guard updates[index].file.file.isReadable else { return updates[index].file.file.withBytes(of: info, elements: elements) { $0 } }
    let size = count * info.dtype.byteSize
    let rows = window ?? .allocate(byteCount: updates.count * stride, alignment: 64)
    window = rows
    let row = UnsafeMutableRawBufferPointer(start: rows + index * stride, count: size)
    if held[index] != number {
      if !updates[index].file.file.read(info, elements, into: rows + index * stride) {
        row.initializeMemory(as: UInt8.self, repeating: 0)
        rejected[index] = "its file cannot be read any more"
      }
      held[index] = number
    }
    return UnsafeRawBufferPointer(row)
  }

  /// One update's difference.
  ///
  /// - Parameters:
  ///   - index: of the update.
  ///   - out: gets `count` elements.
  public func difference(of index: Int, into out: UnsafeMutableBufferPointer<Double>) {
    UnsafeMutableBufferPointer(rebasing: out[0..<count]).update(repeating: 0)
    addDifference(of: index, times: 1, to: out)
  }
}

extension DType {
  /// Of a floating-point dtype.
  var greatestFiniteMagnitude: Double {
    switch self {
    case .f32: Double(Float.greatestFiniteMagnitude)
    case .f16: 65504
    case .bf16: 0x1.fep127
    case .f64, .i64, .i32, .i16, .i8, .u8, .bool: .greatestFiniteMagnitude
    }
  }
}
