"""What authors write: workflows, tasks, events, runs, handles, and the client that speaks for them.

It knows the server only as the messages of `aiki.model.wire`, behind a transport that is handed in.
"""
