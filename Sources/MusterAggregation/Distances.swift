/// The squared distances ‖w_i − w_j‖² between the updates of a cohort.
public struct Distances: Sendable {
  /// The number of updates.
  public let count: Int
  private var values: [Double]

  init(count: Int, upperTriangle: [Double]) {
    self.count = count
    values = upperTriangle
    for i in 0..<count { for j in 0..<i { values[i * count + j] = values[j * count + i] } }
  }

  /// ‖w_i − w_j‖², symmetric in i and j.
  public subscript(i: Int, j: Int) -> Double { values[i * count + j] }
}
