internal import Dispatch
internal import Glibc
internal import MusterTensors
internal import Synchronization

/// Neighboring elements of one tensor: the unit of work of a thread.
struct Piece: Sendable {
  /// Position in `Cohort.tensors`.
  let tensor: Int
  let elements: Range<Int>
}

/// Distributes jobs among threads. The result of a job may depend on its number, but not on which thread runs it or when.
enum Workers {
  /// The useful number of threads: one for small inputs, otherwise two, because the work waits for memory and two threads keep that busy.
  static func suggested(bytes: Int) -> Int { bytes < 4 << 20 ? 1 : max(1, min(2, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))) }

  /// Runs `worker` on every thread; `next` gives it the number of the next job, or `nil` when none is left.
  static func run(jobs: Int, threads: Int, _ worker: @Sendable (_ next: () -> Int?) -> Void) {
    let taken = Atomic(0)
    DispatchQueue.concurrentPerform(iterations: max(1, min(jobs, threads))) { _ in
      worker {
        let job = taken.add(1, ordering: .relaxed).oldValue
        return job < jobs ? job : nil
      }
    }
  }
}

extension Cohort {
  /// Splits the shared tensors into pieces, in order: a piece takes some megabytes over all updates. The split depends only on the model
  /// and the number of updates.
  func pieces() -> [Piece] {
    let slice = CohortSlice.length(updates: updates.count)
    let size = max(slice, min(1 << 17, (4 << 20) / max(1, updates.count) / slice * slice))
    return tensors.indices.flatMap { tensor in
      let count = tensors[tensor].elementCount
      return stride(from: 0, to: count, by: size).map { Piece(tensor: tensor, elements: $0..<min($0 + size, count)) }
    }
  }

  /// Releases the memory of a piece that was read, if the cohort is large.
  func release(_ piece: Piece) {
    guard isLarge else { return }
    base.release(tensors[piece.tensor], elements: piece.elements)
    for update in updates { update.file.release(update.tensors[piece.tensor], elements: piece.elements) }
  }

  /// The sums of a pass over all updates, and the updates that it rejected.
  struct Sums: Sendable {
    var values: [Double]
    var rejected: [Int: String] = [:]
    var bytesRead = 0
  }

  /// Sums over all slices, in `Double`. Slices are added up in at most eight parts, then the parts are added: always the same ones in the
  /// same order, so the result does not depend on the number of threads.
  ///
  /// - Parameters:
  ///   - count: number of sums.
  ///   - length: maximum length of a slice.
  ///   - add: adds a slice's contribution to the sums.
  func sums(
    count: Int, length: Int, _ add: @Sendable (CohortSlice, UnsafeMutableBufferPointer<Double>) -> Void
  ) -> Sums {
    let parts = Self.parts(pieces())
    let results = Mutex([Sums?](repeating: nil, count: parts.count))
    Workers.run(jobs: parts.count, threads: threads) { next in
      while let part = next() {
        let slice = CohortSlice(self, length: length)
        var own = Sums(values: [Double](repeating: 0, count: count))
        own.values.withUnsafeMutableBufferPointer { values in
          for piece in parts[part] {
            slice.forEach(in: piece) { add($0, values) }
            release(piece)
          }
        }
        own.rejected = slice.rejected
        own.bytesRead = slice.bytesRead
        results.withLock { [own] in $0[part] = own }
      }
    }
    var total = Sums(values: [Double](repeating: 0, count: count))
    for part in results.withLock({ $0 }) {
      guard let part else { continue }
      for (index, value) in part.values.enumerated() { total.values[index] += value }
      total.rejected.merge(part.rejected) { first, _ in first }
      total.bytesRead += part.bytesRead
    }
    return total
  }

  private static func parts(_ pieces: [Piece]) -> [ArraySlice<Piece>] {
    let elements = pieces.reduce(0) { $0 + $1.elements.count }
    var parts: [ArraySlice<Piece>] = []
    var (start, sum) = (0, 0)
    for (index, piece) in pieces.enumerated() {
      sum += piece.elements.count
      if sum * 8 >= elements || index == pieces.count - 1 {
        parts.append(pieces[start...index])
        (start, sum) = (index + 1, 0)
      }
    }
    return parts
  }
}
