"""What people see: a page that needs nothing but the server.

The rule: it is files, handed out as they are (`aiki.dashboard.site`); everything that it shows comes through the HTTP API.
"""
