"""The contract between the deciding side (orchestrator) and the doing side (workers).

Words, models, states, errors, queue names, the Celery app factory and the Redis store with its Lua moves.
It holds no handler and no policy. Importing it connects to nothing.
"""
