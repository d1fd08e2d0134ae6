internal import COpenBLAS
internal import Glibc

/// The number type of a model's computations: `Float`, or `Double` for checking gradients.
package protocol Scalar: BinaryFloatingPoint, SIMDScalar, Codable, Sendable {
  static func exponential(_ value: Self) -> Self
  static func logarithm(_ value: Self) -> Self

  /// Computes C = A·B + β·C, row-major, on the calling thread. A is m × k (or stored transposed, k × m), B is k × n (or n × k), C is m × n.
  static func multiply(
    m: Int, n: Int, k: Int, _ a: UnsafePointer<Self>, transposed transposeA: Bool, _ b: UnsafePointer<Self>, transposed transposeB: Bool,
    into c: UnsafeMutablePointer<Self>, keeping beta: Self)
}

extension Float: Scalar {
  package static func exponential(_ value: Float) -> Float { expf(value) }
  package static func logarithm(_ value: Float) -> Float { logf(value) }

  package static func multiply(
    m: Int, n: Int, k: Int, _ a: UnsafePointer<Float>, transposed transposeA: Bool, _ b: UnsafePointer<Float>, transposed transposeB: Bool,
    into c: UnsafeMutablePointer<Float>, keeping beta: Float
  ) {
    cblas_sgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, Int32(m), Int32(n), Int32(k), 1, a,
      Int32(transposeA ? m : k), b, Int32(transposeB ? k : n), beta, c, Int32(n))
  }
}

extension Double: Scalar {
  package static func exponential(_ value: Double) -> Double { exp(value) }
  package static func logarithm(_ value: Double) -> Double { log(value) }

  package static func multiply(
    m: Int, n: Int, k: Int, _ a: UnsafePointer<Double>, transposed transposeA: Bool, _ b: UnsafePointer<Double>,
    transposed transposeB: Bool, into c: UnsafeMutablePointer<Double>, keeping beta: Double
  ) {
    cblas_dgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, Int32(m), Int32(n), Int32(k), 1, a,
      Int32(transposeA ? m : k), b, Int32(transposeB ? k : n), beta, c, Int32(n))
  }
}

/// Keeps OpenBLAS on the calling thread: for models of this size, more threads only slow it down and would change results between machines.
enum BLAS {
  private static let once: Void = openblas_set_num_threads(1)
  static func useOneThread() { once }
}

/// Memory for a layer's numbers, freed with this object.
final class Buffer<T: Scalar> {
  let start: UnsafeMutablePointer<T>
  let count: Int

  /// Allocates `count` zeros.
  init(_ count: Int) {
    self.count = count
    start = .allocate(capacity: max(1, count))
    start.initialize(repeating: 0, count: max(1, count))
  }

  deinit { start.deallocate() }
}
