"""What the role may not do that the ports need, as the GRANT that would let it."""

from __future__ import annotations

from .pool import Pool
from .schema import READ, SEQUENCES, WRITTEN

_USAGE = """
SELECT current_user, to_regnamespace($1) IS NOT NULL,
    coalesce(has_schema_privilege(to_regnamespace($1)::oid, 'USAGE'), false),
    quote_ident(current_database()), has_database_privilege(current_database(), 'TEMPORARY')
"""
_TABLES = """
SELECT w.name, w.privilege FROM unnest($2::text[], $3::text[]) w (name, privilege)
JOIN pg_class c ON c.relname = w.name AND c.relnamespace = to_regnamespace($1)::oid
WHERE CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, w.privilege)
    ELSE NOT has_table_privilege(c.oid, w.privilege) END
"""

_MAKING = """
SELECT current_user, quote_ident(current_database()), to_regnamespace($1) IS NOT NULL,
    coalesce(has_schema_privilege(to_regnamespace($1)::oid, 'CREATE'),
        has_database_privilege(current_database(), 'CREATE'))
"""


async def missing_to_make_tables(pool: Pool) -> str:
    """The statement that would let the role make the schema, or the tables in one that is there; "" when it may."""
    role, database, there, may = (await pool.read(_MAKING, pool.schema))[0]
    if may:
        return ""
    return f"GRANT CREATE ON {f'SCHEMA {pool.schema}' if there else f'DATABASE {database}'} TO {_quoted(role)}"


async def missing_grants(pool: Pool) -> list[str]:
    """The statements that are missing; [] when the role may do all that it needs, or the schema is not there.

    The catalogue is asked, which every role may read.
    """
    role, there, usage, database, temporary = (await pool.read(_USAGE, pool.schema))[0]
    if not there:
        return []
    to = _quoted(role)
    grants = [] if usage else [f"GRANT USAGE ON SCHEMA {pool.schema} TO {to}"]
    if not temporary:
        grants.append(f"GRANT TEMPORARY ON DATABASE {database} TO {to}")
    needed = [(name, "SELECT") for name in READ]
    needed += [(name, each) for name in WRITTEN for each in ("SELECT", "INSERT", "UPDATE", "DELETE")]
    needed += [(name, "USAGE") for name in SEQUENCES]
    rows = await pool.read(_TABLES, pool.schema, [name for name, _ in needed], [each for _, each in needed])
    lacking: dict[tuple[str, ...], list[str]] = {}
    for name in dict.fromkeys(row[0] for row in rows):
        lacking.setdefault(tuple(row[1] for row in rows if row[0] == name), []).append(name)
    for privileges, names in lacking.items():
        kind = "SEQUENCE" if names[0] in SEQUENCES else "TABLE"
        on = ", ".join(f"{pool.schema}.{name}" for name in names)
        grants.append(f"GRANT {', '.join(privileges)} ON {kind} {on} TO {to}")
    return grants


def _quoted(role: str) -> str:
    return '"' + role.replace('"', '""') + '"'
