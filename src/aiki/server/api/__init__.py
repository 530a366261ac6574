"""How a server is reached over HTTP: REST and JSON under /v1.

The rule: a request becomes one call of the service in the messages of `aiki.model.wire`, and its answer is passed on;
nothing is decided here, and no payload is looked into.
"""
