"""Databases of an older version of the schema."""

import os
import sqlite3

from conftest import ROOT


def newest_version():
    return max(int(f[:3]) for f in os.listdir(os.path.join(ROOT, "schema", "sqlite")) if f[:3].isdigit())


def downgrade(path):
    """The same facts in the tables of version 1, made with its own schema file."""
    old = path + ".old"
    db = sqlite3.connect(old)
    db.execute("PRAGMA page_size=8192")
    db.execute("PRAGMA journal_mode=WAL")
    with open(os.path.join(ROOT, "schema", "sqlite", "001.sql"), encoding="utf-8") as f:
        db.executescript(f.read())
    db.execute("ATTACH ? AS new", (path,))
    for (table,) in db.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
        columns = ", ".join(f'"{c[1]}"' for c in db.execute(f"PRAGMA main.table_info({table})"))
        db.execute(f"INSERT OR REPLACE INTO main.{table}({columns}) SELECT {columns} FROM new.{table}")
    db.commit()
    db.execute("DETACH new")
    db.execute(f"PRAGMA application_id={0x70726566}")
    db.execute("PRAGMA user_version=1")
    db.close()
    os.replace(old, path)
