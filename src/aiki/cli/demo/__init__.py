"""`aiki demo`: a durable workflow, its process killed with `kill -9` in the middle, and what became of both.

The rule: nothing that is shown is made up. It comes from the journal, from what the tasks did to the outside, and from
the operating system's word on the process that died.
"""
