"""Every SQL statement of the store but its tables. Values are parameters, always; each is answered by an index."""

ACCOUNT = """SELECT id, newest, size, messages, traces, public_size, public_messages
    FROM accounts WHERE account = ?"""
ADD_ACCOUNT = "INSERT INTO accounts VALUES (NULL, ?, ?, 0, 0, 0, 0, 0, 0)"
SET_ACCOUNT = """UPDATE accounts SET newest = ?, size = ?, messages = ?, traces = ?, public_size = ?,
    public_messages = ? WHERE id = ?"""
FORGET_ACCOUNT = "DELETE FROM accounts WHERE id = ?"
TOTAL_SIZE = "SELECT coalesce(sum(size), 0) FROM accounts"

# One list of columns for all that reads rows; ``rows.held_of`` knows their order.
_HELD = """sequence, name, kind, version, expiry_version, expiry_ms, timestamp_ms, namespace, until_ms, source, digest,
    checksum, length(data)"""
ROW = f"SELECT {_HELD} FROM rows WHERE account = ? AND name = ?"  # noqa: S608 - our own list of columns
# Left to itself SQLite would read all accounts' rows of these numbers.
LIVE = f"""SELECT {_HELD} FROM rows INDEXED BY rows_namespace WHERE account = ? AND kind = 0 AND timestamp_ms <= ?
    AND sequence BETWEEN ? AND ?"""  # noqa: S608
LIVE_OF_NAMESPACE = f"""SELECT {_HELD} FROM rows INDEXED BY rows_namespace WHERE account = ? AND kind = 0
    AND namespace = ? AND timestamp_ms <= ? AND sequence BETWEEN ? AND ?"""  # noqa: S608
# The index has all of it.
LIVE_SEQUENCES = """SELECT sequence FROM rows INDEXED BY rows_namespace
    WHERE account = (SELECT id FROM accounts WHERE account = ?1) AND kind = 0 AND (?2 IS NULL OR namespace = ?2)"""
BEYOND_LATEST = f"""SELECT {_HELD} FROM rows WHERE account = ? AND kind = ?
    ORDER BY version DESC, name DESC LIMIT -1 OFFSET ?"""  # noqa: S608
ENDED = f"""SELECT accounts.account, {_HELD} FROM rows CROSS JOIN accounts ON accounts.id = rows.account
    WHERE ends_ms <= ? ORDER BY ends_ms LIMIT ?"""  # noqa: S608
AFTER_NAME = f"SELECT {_HELD} FROM rows WHERE account = ? AND name > ? ORDER BY name LIMIT ?"  # noqa: S608

ADD_ROW = """INSERT INTO rows (account, name, kind, version, expiry_version, expiry_ms, timestamp_ms, namespace,
    until_ms, source, digest, checksum, ends_ms, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
SET_STANDING = """UPDATE rows SET version = ?, expiry_version = ?, expiry_ms = ?, timestamp_ms = ?, until_ms = ?,
    digest = ?, checksum = ?, ends_ms = ? WHERE sequence = ?"""
SET_TRACE = """UPDATE rows SET kind = ?, version = ?, expiry_version = 0, expiry_ms = 0, timestamp_ms = 0, until_ms = ?,
    source = NULL,
    digest = ?, checksum = ?, ends_ms = ?, data = NULL WHERE sequence = ?"""
FORGET_ROW = "DELETE FROM rows WHERE sequence = ?"

SEQUENCE_OF = """SELECT sequence FROM rows WHERE account = ? AND name = ? AND kind = 0 AND namespace = ?
    AND expiry_ms > ?"""
MESSAGES = f"""SELECT {_HELD}, data FROM rows WHERE account = ? AND kind = 0 AND namespace = ? AND sequence > ?
    AND expiry_ms > ? ORDER BY sequence"""  # noqa: S608
ROW_WITH_DATA = f"SELECT {_HELD}, data FROM rows WHERE account = ? AND name = ?"  # noqa: S608
ROWS_AFTER = f"""SELECT accounts.account, {_HELD}, data FROM rows
    LEFT JOIN accounts ON accounts.id = rows.account WHERE sequence > ? ORDER BY sequence LIMIT ?"""  # noqa: S608

BUCKET = "SELECT rows, digest FROM buckets WHERE bucket = ?"
BUCKETS = "SELECT bucket, rows, digest FROM buckets WHERE bucket BETWEEN ? AND ? AND rows > 0 ORDER BY bucket"
SET_BUCKET = "INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)"
DIGESTS_BETWEEN = """SELECT digest FROM accounts CROSS JOIN rows ON rows.account = accounts.id
    WHERE position >= ? AND position <= ?"""
ACCOUNTS_BETWEEN = """SELECT id, account, position FROM accounts WHERE position >= ? AND position <= ?
    ORDER BY position, account"""
COUNT_BETWEEN = """SELECT coalesce(sum(messages), 0), coalesce(sum(traces), 0), coalesce(sum(size), 0) FROM accounts
    WHERE position >= ? AND position <= ?"""

SOURCE = "SELECT id, size FROM sources WHERE source = ?"
SOURCE_SIZE = "SELECT size FROM sources WHERE id = ?"
ADD_SOURCE = "INSERT INTO sources VALUES (NULL, ?, 0)"
SET_SOURCE = "UPDATE sources SET size = ? WHERE id = ?"
FORGET_SOURCE = "DELETE FROM sources WHERE id = ?"

DAMAGED_ROW = """SELECT accounts.account, rows.account, name FROM rows
    LEFT JOIN accounts ON accounts.id = rows.account WHERE sequence = ?"""
ADD_MISSING = "INSERT OR IGNORE INTO missing VALUES (?, ?)"
FORGET_MISSING = "DELETE FROM missing WHERE account = ? AND name = ?"
MISSING = "SELECT account, name FROM missing ORDER BY account, name LIMIT ?"
RECOUNT = """SELECT coalesce(sum(size), 0), coalesce(sum(is_live), 0), coalesce(sum(1 - is_live), 0),
    coalesce(sum(size * is_public), 0), coalesce(sum(is_public), 0) FROM (
        SELECT ?2 + coalesce(length(data), 0) AS size, kind = 0 AS is_live, kind = 0 AND namespace % 10 = 0 AS is_public
        FROM rows WHERE account = ?1)"""
NEWEST = "SELECT max(max(version, expiry_version)) FROM rows WHERE account = ?"
FORGET_ORPHANS = "DELETE FROM rows WHERE account NOT IN (SELECT id FROM accounts)"
FORGET_BUCKETS = "DELETE FROM buckets"

NOTE = "SELECT value FROM notes WHERE name = ?"
SET_NOTE = "INSERT OR REPLACE INTO notes VALUES (?, ?)"
OWE = "INSERT OR IGNORE INTO debts (member, account, name) VALUES (?, ?, ?)"
OWED = "SELECT account, name FROM debts WHERE member = ? ORDER BY sequence LIMIT ?"
# At least the number of keys, found without counting them.
OWED_RANGE = """SELECT coalesce((SELECT max(sequence) FROM debts WHERE member = ?1)
    - (SELECT min(sequence) FROM debts WHERE member = ?1) + 1, 0)"""
SETTLE = "DELETE FROM debts WHERE member = ? AND account = ? AND name = ?"
SETTLE_ALL = "DELETE FROM debts WHERE member = ?"
