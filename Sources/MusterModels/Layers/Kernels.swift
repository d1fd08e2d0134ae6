// The loops of the layers. Activations of images are channels × samples × height × width, so that one matrix product covers a whole batch.
// Dense activations are samples × features.

/// Unfolds padded k×k patches (stride 1): `columns` gets a row per (channel, ky, kx) and a column per (sample, y, x) of the output.
@_specialize(where T == Float)
@_specialize(where T == Double)
func unfold<T: Scalar>(
  _ images: UnsafePointer<T>, samples: Int, from: SampleShape, kernel: Int, padding: Int, into columns: UnsafeMutablePointer<T>
) {
  let (height, width) = (from.height, from.width)
  let (outHeight, outWidth) = (height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1)
  var row = columns
  for channel in 0..<from.channels {
    let planes = images + channel * samples * height * width
    for ky in 0..<kernel {
      for kx in 0..<kernel {
        let left = max(0, padding - kx)
        let right = max(left, min(outWidth, width + padding - kx))
        for sample in 0..<samples {
          let plane = planes + sample * height * width
          for y in 0..<outHeight {
            let sourceY = y + ky - padding
            if sourceY < 0 || sourceY >= height {
              row.update(repeating: 0, count: outWidth)
            } else {
              for x in 0..<left { row[x] = 0 }
              let source = plane + sourceY * width + kx - padding
              for x in left..<right { row[x] = source[x] }
              for x in right..<outWidth { row[x] = 0 }
            }
            row += outWidth
          }
        }
      }
    }
  }
}

/// The adjoint of ``unfold``: adds each patch's gradient to the pixels it came from. Overwrites `images`.
@_specialize(where T == Float)
@_specialize(where T == Double)
func fold<T: Scalar>(
  _ columns: UnsafePointer<T>, samples: Int, to shape: SampleShape, kernel: Int, padding: Int, into images: UnsafeMutablePointer<T>
) {
  let (height, width) = (shape.height, shape.width)
  let (outHeight, outWidth) = (height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1)
  images.update(repeating: 0, count: shape.channels * samples * height * width)
  var row = columns
  for channel in 0..<shape.channels {
    let planes = images + channel * samples * height * width
    for ky in 0..<kernel {
      for kx in 0..<kernel {
        let left = max(0, padding - kx)
        let right = max(left, min(outWidth, width + padding - kx))
        for sample in 0..<samples {
          let plane = planes + sample * height * width
          for y in 0..<outHeight {
            let targetY = y + ky - padding
            if targetY >= 0 && targetY < height {
              let target = plane + targetY * width + kx - padding
              for x in left..<right { target[x] += row[x] }
            }
            row += outWidth
          }
        }
      }
    }
  }
}

/// ReLU, then max-pooling by 2. An odd last row or column is ignored, as in PyTorch. `planes` is channels × samples.
@_specialize(where T == Float)
@_specialize(where T == Double)
func poolForward<T: Scalar>(_ input: UnsafePointer<T>, planes: Int, height: Int, width: Int, into output: UnsafeMutablePointer<T>) {
  let (outHeight, outWidth) = (height / 2, width / 2)
  var target = output
  for plane in 0..<planes {
    for y in 0..<outHeight {
      let top = input + plane * height * width + 2 * y * width
      let bottom = top + width
      for x in 0..<outWidth {
        let upper = top[2 * x] > top[2 * x + 1] ? top[2 * x] : top[2 * x + 1]
        let lower = bottom[2 * x] > bottom[2 * x + 1] ? bottom[2 * x] : bottom[2 * x + 1]
        let largest = upper > lower ? upper : lower
        target[x] = largest > 0 ? largest : 0
      }
      target += outWidth
    }
  }
}

/// Passes each gradient to the first largest of its four inputs, if that is positive.
@_specialize(where T == Float)
@_specialize(where T == Double)
func poolBackward<T: Scalar>(
  _ gradient: UnsafePointer<T>, input: UnsafePointer<T>, output: UnsafePointer<T>, planes: Int, height: Int, width: Int,
  into result: UnsafeMutablePointer<T>
) {
  let (outHeight, outWidth) = (height / 2, width / 2)
  if height % 2 != 0 || width % 2 != 0 { result.update(repeating: 0, count: planes * height * width) }
  var position = 0
  for plane in 0..<planes {
    for y in 0..<outHeight {
      let start = plane * height * width + 2 * y * width
      let (top, bottom) = (input + start, input + start + width)
      let (resultTop, resultBottom) = (result + start, result + start + width)
      for x in 0..<outWidth {
        let largest = output[position]
        let value = largest > 0 ? gradient[position] : 0
        let first = top[2 * x] == largest
        let second = !first && top[2 * x + 1] == largest
        let third = !first && !second && bottom[2 * x] == largest
        resultTop[2 * x] = first ? value : 0
        resultTop[2 * x + 1] = second ? value : 0
        resultBottom[2 * x] = third ? value : 0
        resultBottom[2 * x + 1] = !first && !second && !third ? value : 0
        position += 1
      }
    }
  }
}

/// Converts between channels × samples × pixels and samples × (channels × pixels), which is PyTorch's order before the first dense layer.
@_specialize(where T == Float)
@_specialize(where T == Double)
func exchange<T: Scalar>(_ input: UnsafePointer<T>, outer: Int, inner: Int, pixels: Int, into output: UnsafeMutablePointer<T>) {
  for first in 0..<outer {
    for second in 0..<inner {
      (output + (second * outer + first) * pixels).update(from: input + (first * inner + second) * pixels, count: pixels)
    }
  }
}

@_specialize(where T == Float)
@_specialize(where T == Double)
func reluForward<T: Scalar>(_ input: UnsafePointer<T>, count: Int, into output: UnsafeMutablePointer<T>) {
  for index in 0..<count { output[index] = input[index] > 0 ? input[index] : 0 }
}

@_specialize(where T == Float)
@_specialize(where T == Double)
func reluBackward<T: Scalar>(
  _ gradient: UnsafePointer<T>, output: UnsafePointer<T>, count: Int, into result: UnsafeMutablePointer<T>
) {
  for index in 0..<count { result[index] = output[index] > 0 ? gradient[index] : 0 }
}

/// Fills each row with its bias.
@_specialize(where T == Float)
@_specialize(where T == Double)
func fillRows<T: Scalar>(_ biases: UnsafePointer<T>, rows: Int, columns: Int, into output: UnsafeMutablePointer<T>) {
  for row in 0..<rows { (output + row * columns).update(repeating: biases[row], count: columns) }
}

@_specialize(where T == Float)
@_specialize(where T == Double)
func sumRows<T: Scalar>(_ values: UnsafePointer<T>, rows: Int, columns: Int, into sums: UnsafeMutablePointer<T>) {
  for row in 0..<rows {
    let start = values + row * columns
    var lanes = SIMD8<T>(repeating: 0)
    var column = 0
    while column + 8 <= columns {
      lanes += UnsafeRawPointer(start + column).loadUnaligned(as: SIMD8<T>.self)
      column += 8
    }
    var sum = lanes.sum()
    while column < columns {
      sum += start[column]
      column += 1
    }
    sums[row] = sum
  }
}

@_specialize(where T == Float)
@_specialize(where T == Double)
func sumColumns<T: Scalar>(_ values: UnsafePointer<T>, rows: Int, columns: Int, into sums: UnsafeMutablePointer<T>) {
  sums.update(repeating: 0, count: columns)
  for row in 0..<rows {
    let start = values + row * columns
    for column in 0..<columns { sums[column] += start[column] }
  }
}

/// Softmax cross-entropy: returns the summed loss, and writes the predicted classes and the gradient of the mean loss by the scores.
@_specialize(where T == Float)
@_specialize(where T == Double)
func crossEntropy<T: Scalar>(
  _ scores: UnsafePointer<T>, labels: UnsafePointer<Int32>, samples: Int, classes: Int, predictions: UnsafeMutablePointer<Int32>,
  gradient: UnsafeMutablePointer<T>
) -> Double {
  var total = 0.0
  let share = 1 / T(samples)
  for sample in 0..<samples {
    let row = scores + sample * classes
    let out = gradient + sample * classes
    var best = 0
    for index in 1..<classes where row[index] > row[best] { best = index }
    let largest = row[best]
    var sum: T = 0
    for index in 0..<classes {
      let value = T.exponential(row[index] - largest)
      out[index] = value
      sum += value
    }
    let label = Int(labels[sample])
    total += Double(T.logarithm(sum) + largest - row[label])
    let factor = share / sum
    for index in 0..<classes { out[index] *= factor }
    out[label] -= share
    predictions[sample] = Int32(best)
  }
  return total
}

/// One SGD step over all parameters, in PyTorch's order: g += weightDecay·w + proximal·(w − base); v = momentum·v + g; w −= rate·v.
@_specialize(where T == Float)
@_specialize(where T == Double)
func descend<T: Scalar>(
  _ parameters: UnsafeMutablePointer<T>, gradient: UnsafePointer<T>, velocity: UnsafeMutablePointer<T>?, base: UnsafePointer<T>?,
  count: Int, rate: T, momentum: T, weightDecay: T, proximal: T
) {
  if velocity == nil, base == nil, weightDecay == 0 {
    for index in 0..<count { parameters[index] -= rate * gradient[index] }
    return
  }
  for index in 0..<count {
    var slope = gradient[index] + weightDecay * parameters[index]
    if let base { slope += proximal * (parameters[index] - base[index]) }
    if let velocity {
      slope += momentum * velocity[index]
      velocity[index] = slope
    }
    parameters[index] -= rate * slope
  }
}

/// Converts bytes to numbers by a table of 256 entries.
@_specialize(where T == Float)
@_specialize(where T == Double)
func gather<T: Scalar>(_ bytes: UnsafePointer<UInt8>, table: UnsafePointer<T>, count: Int, into output: UnsafeMutablePointer<T>) {
  for index in 0..<count { output[index] = table[Int(bytes[index])] }
}
