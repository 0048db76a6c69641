"""What the sandbox did and which faults were asked of it, in SQLite: each is committed before it is answered."""

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS effect (
    id INTEGER PRIMARY KEY, place TEXT NOT NULL, key TEXT, request TEXT NOT NULL, answer TEXT NOT NULL,
    happened_at REAL NOT NULL, UNIQUE (place, key)
);
CREATE TABLE IF NOT EXISTS asked (
    place TEXT NOT NULL, key TEXT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (place, key)
);
CREATE TABLE IF NOT EXISTS fault (
    id INTEGER PRIMARY KEY, place TEXT NOT NULL, spec TEXT NOT NULL, times_left INTEGER NOT NULL
);
"""
LIST_MAX = 500


class KeyReusedError(Exception):
    """Raised when a key comes back with another request."""


class State:
    """One file, one connection, one statement at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=FULL")
        self._file.executescript(TABLES)

    def effect(self, place: str, key: str | None, request: Any, answer: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Make it happen, once for each key; return the answer, and whether it was given before.

        Raises KeyReusedError.
        """
        text = json.dumps(request, sort_keys=True)
        with self._lock:
            if key is not None and (found := self._find(place, key)):
                if found[0] != text:
                    raise KeyReusedError
                return json.loads(found[1]), True
            self._file.execute(
                "INSERT INTO effect (place, key, request, answer, happened_at) VALUES (?, ?, ?, ?, ?)",
                (place, key, text, json.dumps(answer), time.time()),
            )
            return answer, False

    def _find(self, place: str, key: str) -> tuple[str, str] | None:
        rows = self._file.execute("SELECT request, answer FROM effect WHERE place = ? AND key = ?", (place, key))
        found: tuple[str, str] | None = rows.fetchone()
        return found

    def note_asked(self, place: str, key: str) -> None:
        """Count one request for this key, whatever becomes of it."""
        with self._lock:
            self._file.execute(
                "INSERT INTO asked VALUES (?, ?, 1) ON CONFLICT (place, key) DO UPDATE SET times = times + 1",
                (place, key),
            )

    def effects(self, place: str, key: str | None) -> dict[str, Any]:
        """Return how many effects there are, and the last of them; of one key, or of all."""
        chosen = "place = ? AND (? IS NULL OR key = ?)"
        with self._lock:
            (count,) = self._file.execute(f"SELECT count(*) FROM effect WHERE {chosen}", (place, key, key)).fetchone()  # noqa: S608
            (asked,) = self._file.execute(
                f"SELECT coalesce(sum(times), 0) FROM asked WHERE {chosen}",  # noqa: S608
                (place, key, key),
            ).fetchone()
            rows = self._file.execute(
                f"SELECT id, key, request, answer, happened_at FROM effect WHERE {chosen} ORDER BY id DESC LIMIT ?",  # noqa: S608
                (place, key, key, LIST_MAX),
            ).fetchall()
        effects = [
            {"id": number, "key": of, **json.loads(request), **json.loads(answer), "happened_at": at}
            for number, of, request, answer, at in rows
        ]
        return {"count": count, "requests": asked, "effects": effects}

    def set_faults(self, place: str, faults: list[dict[str, Any]]) -> None:
        """Replace the faults that wait at this place. Each happens `times` times, 1 unless it says so."""
        with self._lock:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.execute("DELETE FROM fault WHERE place = ?", (place,))
            for fault in faults:
                spec = {name: value for name, value in fault.items() if name != "times"}
                self._file.execute(
                    "INSERT INTO fault (place, spec, times_left) VALUES (?, ?, ?)",
                    (place, json.dumps(spec), int(fault.get("times", 1))),
                )
            self._file.execute("COMMIT")

    def take_fault(self, place: str, key: str | None = None) -> dict[str, Any]:
        """Return the next fault for a request, and count it down; empty when all shall go well.

        A fault with a `key` waits for the request with that key.
        """
        with self._lock:
            rows = self._file.execute("SELECT id, spec FROM fault WHERE place = ? ORDER BY id", (place,)).fetchall()
            for number, text in rows:
                spec: dict[str, Any] = json.loads(text)
                if spec.get("key", key) == key:
                    self._file.execute("UPDATE fault SET times_left = times_left - 1 WHERE id = ?", (number,))
                    self._file.execute("DELETE FROM fault WHERE id = ? AND times_left <= 0", (number,))
                    return spec
        return {}
