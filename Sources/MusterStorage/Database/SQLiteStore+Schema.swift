import GRDB

extension SQLiteStore {
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1 journal") { database in
      try database.execute(
        sql: """
          CREATE TABLE machine (
            name TEXT PRIMARY KEY NOT NULL,
            -- The machine's own time of its last commit, milliseconds.
            instant INTEGER NOT NULL
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE journal (
            -- AUTOINCREMENT keeps the order of appending, and never reuses the position of a removed row.
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            machine TEXT NOT NULL REFERENCES machine (name),
            task TEXT,
            kind TEXT NOT NULL,
            instant INTEGER NOT NULL,
            body BLOB NOT NULL
          ) STRICT;
          CREATE INDEX journal_by_task ON journal (machine, task, kind);
          """)
    }
    migrator.registerMigration("2 wall clock") { database in
      // The wall-clock time of the commit, in milliseconds since 1970 UTC; NULL for rows of version 0.1.0. It is for people only: the
      // protocol does not use the time of day.
      try database.execute(sql: "ALTER TABLE journal ADD COLUMN committed INTEGER")
    }
    migrator.registerMigration("3 presence") { database in
      try database.execute(
        sql: """
          -- The wall-clock times at which each node was first heard to be online and offline in its latest session. For people only.
          CREATE TABLE presence (
            node TEXT NOT NULL,
            online INTEGER NOT NULL,
            session TEXT NOT NULL,
            since INTEGER NOT NULL,
            PRIMARY KEY (node, online)
          ) STRICT, WITHOUT ROWID
          """)
    }
    migrator.registerMigration("4 history") { try $0.execute(sql: history) }
    migrator.registerMigration("5 registry") { database in
      try database.execute(
        sql: """
          -- Members, enrolment tokens, waiting machines and revoked certificates, each as JSON. Central reads all of them when it starts.
          CREATE TABLE registry (
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (kind, key)
          ) STRICT, WITHOUT ROWID
          """)
    }
    return migrator
  }

  /// Times are wall-clock milliseconds since 1970 UTC, and NULL where version 0.1.0 recorded none. Metrics, strategies and specifications
  /// are JSON. Digests are their 32 bytes.
  private static let history = """
    CREATE TABLE task (
      -- The cursor of lists.
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      name TEXT NOT NULL,
      -- NULL at a region.
      specification TEXT,
      began INTEGER,
      -- How the task ended; NULL while it is open.
      step TEXT,
      reason TEXT,
      ended INTEGER,
      rounds INTEGER NOT NULL DEFAULT 0,
      -- Updates of rounds before this one are no longer kept as blobs.
      kept_since INTEGER NOT NULL DEFAULT 0,
      -- NULL while the task is in memory. Afterwards its last summary and state as JSON, or an empty string at a region.
      retired TEXT,
      -- 1: the task was forgotten. No query shows its rows, which are removed in small pieces. Its id is its number and " gone".
      gone INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX task_gone ON task (number) WHERE gone;
    CREATE INDEX task_by_step ON task (step, number);
    CREATE INDEX task_rounds ON task (rounds);

    CREATE TABLE round (
      task INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
      round INTEGER NOT NULL,
      attempts INTEGER NOT NULL,
      base BLOB NOT NULL,
      result BLOB,
      strategy TEXT NOT NULL,
      metrics TEXT,
      device_metrics TEXT,
      seconds REAL NOT NULL,
      -- Updates that were accepted and those that counted; the devices, samples and bytes behind them.
      updates INTEGER NOT NULL,
      counted INTEGER NOT NULL,
      devices INTEGER NOT NULL,
      counted_devices INTEGER NOT NULL,
      samples REAL NOT NULL,
      bytes INTEGER NOT NULL,
      evaluations INTEGER NOT NULL,
      -- Invited nodes that did not deliver, and the first of them, JSON.
      missing INTEGER NOT NULL,
      missed TEXT NOT NULL,
      ended INTEGER,
      PRIMARY KEY (task, round)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE model (
      task INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
      round INTEGER NOT NULL,
      digest BLOB NOT NULL,
      bytes INTEGER NOT NULL,
      -- The encoded copy that devices download instead.
      wire BLOB,
      wire_bytes INTEGER,
      -- The state of the server optimizer.
      state BLOB,
      metrics TEXT,
      device_metrics TEXT,
      kept INTEGER NOT NULL,
      made INTEGER,
      PRIMARY KEY (task, round)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX model_kept_of_task ON model (task, round) WHERE kept;
    CREATE INDEX model_kept ON model (digest) WHERE kept;
    CREATE INDEX model_kept_wire ON model (wire) WHERE kept AND wire IS NOT NULL;
    CREATE INDEX model_kept_state ON model (state) WHERE kept AND state IS NOT NULL;

    -- Accepted contributions, and invitations without a contribution, which have no digest.
    CREATE TABLE contribution (
      -- The cursor of lists.
      number INTEGER PRIMARY KEY,
      task INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
      round INTEGER NOT NULL,
      phase TEXT NOT NULL,
      node TEXT NOT NULL,
      fate TEXT NOT NULL,
      reason TEXT,
      digest BLOB,
      bytes INTEGER,
      weight REAL,
      count INTEGER,
      metrics TEXT,
      -- The member or token that delivered it; NULL in a fleet without members.
      actor TEXT,
      -- Whether its blob is kept.
      kept INTEGER NOT NULL DEFAULT 0,
      at INTEGER
    ) STRICT;
    CREATE INDEX contribution_of_round ON contribution (task, round, phase, node);
    CREATE INDEX contribution_of_task ON contribution (task, number);
    CREATE INDEX contribution_of_node ON contribution (node, number);
    CREATE INDEX contribution_amiss ON contribution (fate, number) WHERE fate NOT IN ('accepted', 'counted');
    CREATE INDEX contribution_missed ON contribution (task, round) WHERE digest IS NULL;
    CREATE INDEX contribution_kept ON contribution (digest) WHERE kept;

    -- The events that are reported to people who follow a task.
    CREATE TABLE event (
      -- AUTOINCREMENT: a number that was reported is never reused for another event.
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      task INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
      kind TEXT NOT NULL,
      details TEXT NOT NULL,
      at INTEGER
    ) STRICT;
    CREATE INDEX event_of_task ON event (task, number);
    CREATE INDEX event_of_kind ON event (kind, number);

    -- Blobs that lost a reference, until they are removed. One row for each lost reference.
    CREATE TABLE released (number INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL) STRICT;
    """
}
