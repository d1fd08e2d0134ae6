internal import CSpawn

/// Folders that another program may change at any moment: no name in them is trusted to be the same a moment later.
package enum FileTree {
  /// Removes a file, or a folder with everything in it. Follows no link, not even one that takes a folder's place meanwhile. A path that does
  /// not exist is fine.
  ///
  /// - Returns: the errno of the first entry that stays; nil when nothing does.
  @discardableResult
  package static func remove(_ path: String) -> Int32? {
    let code = muster_remove(path)
    return code == 0 ? nil : code
  }

  /// Bytes that the files below a folder take up on the disk; links are not followed.
  static func bytes(in folder: String) -> Int { Int(clamping: muster_usage(folder)) }
}
