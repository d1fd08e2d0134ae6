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
  /// Which of its elements, counted row by row.
  public private(set) var elements = 0..<0
  /// Why updates, by index, cannot count: met while reading them. What they gave to a combination is void.
  private(set) var rejected: [Int: String] = [:]
  /// Bytes of data looked at.
  private(set) var bytesRead = 0

  private let file: SafetensorsFile
  private let tensors: [TensorInfo]
  private var position = 0
  private let baseBuffer = UnsafeMutableBufferPointer<Double>.allocate(capacity: capacity)
  private let scratch = UnsafeMutableBufferPointer<Double>.allocate(capacity: capacity)

  init(_ cohort: Cohort) {
    updates = cohort.updates
    file = cohort.base
    tensors = cohort.tensors
  }

  deinit {
    baseBuffer.deallocate()
    scratch.deallocate()
  }

  /// The number of elements.
  public var count: Int { elements.count }

  /// The base model's elements, w.
  public var base: UnsafeBufferPointer<Double> { UnsafeBufferPointer(rebasing: baseBuffer[0..<count]) }

  func forEach<Failure: Error>(inTensor position: Int, _ body: (CohortSlice) throws(Failure) -> Void) throws(Failure) {
    let info = tensors[position]
    self.position = position
    tensor = info.name
    var start = 0
    while start < info.elementCount {
      elements = start..<min(start + Self.capacity, info.elementCount)
      bytesRead += count * info.dtype.byteSize
      file.withBytes(of: info, elements: elements) { Conversion.load($0, info.dtype, into: baseBuffer) }
      try body(self)
      start = elements.upperBound
    }
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
    let factor = factor * update.scale
    update.file.withBytes(of: info, elements: elements) { raw in
      bytesRead += raw.count
      if Conversion.hasNonFinite(raw, info.dtype) {
        rejected[index] = Cohort.nonFiniteReason(tensor)
      } else if info.dtype == .f32, update.content == .parameters, tensors[position].dtype.byteSize >= 4 {
        addDifference(ofFloats: raw, times: factor, to: sum)
      } else {
        Conversion.load(raw, info.dtype, into: scratch)
        addDifference(ofScratch: update.content, of: index, times: factor, to: sum)
      }
    }
  }

  /// The common case, in one loop: finite `Float` parameters of a base that can hold them.
  private func addDifference(ofFloats raw: UnsafeRawBufferPointer, times factor: Double, to sum: UnsafeMutableBufferPointer<Double>) {
    guard let source = raw.baseAddress, let target = sum.baseAddress, let base = baseBuffer.baseAddress else { return }
    for i in 0..<count { target[i] += factor * (Double(source.loadUnaligned(fromByteOffset: i &* 4, as: Float.self)) - base[i]) }
  }

  private func addDifference(
    ofScratch content: Update.Content, of index: Int, times factor: Double, to sum: UnsafeMutableBufferPointer<Double>
  ) {
    guard let values = scratch.baseAddress, let target = sum.baseAddress, let base = baseBuffer.baseAddress else { return }
    let limit = tensors[position].dtype.greatestFiniteMagnitude
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
    guard outside == 0 else {
      rejected[index] = "tensor \(shown(tensor)) leaves the range of the base's \(tensors[position].dtype.rawValue)"
      return
    }
    for i in 0..<count { target[i] += factor * values[i] }
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
  fileprivate var greatestFiniteMagnitude: Double {
    switch self {
    case .f32: Double(Float.greatestFiniteMagnitude)
    case .f16: 65504
    case .bf16: 0x1.fep127
    case .f64, .i64, .i32, .i16, .i8, .u8, .bool: .greatestFiniteMagnitude
    }
  }
}
