internal import Dispatch
internal import Glibc
internal import MusterTensors
internal import Synchronization

/// Neighbouring elements of one tensor: what a thread takes at a time.
struct Piece: Sendable {
  /// Position in `Cohort.tensors`.
  let tensor: Int
  let elements: Range<Int>
}

/// Shares jobs among threads. What a job computes may depend on its number, never on who does it or when.
enum Workers {
  /// As many as help: what is done here waits for memory, which two threads keep busy.
  static func suggested(bytes: Int) -> Int { bytes < 4 << 20 ? 1 : max(1, min(2, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))) }

  /// Runs `worker` on every thread; each asks for the numbers of jobs until there are none.
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
  /// The shared tensors in pieces, in order: each so large that the updates' parts of it are some megabytes. They depend on the model and
  /// the number of updates alone.
  func pieces() -> [Piece] {
    let slice = CohortSlice.length(updates: updates.count)
    let size = max(slice, min(1 << 17, (4 << 20) / max(1, updates.count) / slice * slice))
    return tensors.indices.flatMap { tensor in
      let count = tensors[tensor].elementCount
      return stride(from: 0, to: count, by: size).map { Piece(tensor: tensor, elements: $0..<min($0 + size, count)) }
    }
  }

  /// Gives back the memory of a piece that was read, where it could become much.
  func release(_ piece: Piece) {
    guard isLarge else { return }
    base.release(tensors[piece.tensor], elements: piece.elements)
    for update in updates { update.file.release(update.tensors[piece.tensor], elements: piece.elements) }
  }

  /// What a pass over all updates added up, and who cannot count.
  struct Sums: Sendable {
    var values: [Double]
    var rejected: [Int: String] = [:]
    var bytesRead = 0
  }

  /// Sums over all slices, in double. The slices are added up in at most eight parts, and then the parts, always the same ones in the same
  /// order.
  ///
  /// - Parameters:
  ///   - count: how many sums.
  ///   - length: of a slice at most.
  ///   - add: adds a slice's share to the sums.
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
