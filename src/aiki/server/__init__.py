"""How it is served: the pipeline where engine and store meet, dispatch to workers, alarms.

The only room that joins the two, and it adds no rule of its own: what may happen is asked of the engine.
"""
