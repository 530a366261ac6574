"""The store on Postgres: many servers, one database.

It is imported by name where a database's URL asks for it: asyncpg is an extra (`pip install 'aiki[postgres]'`).
"""
