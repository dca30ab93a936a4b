"""HTTP to addresses that somebody else names: pages that agents read, receivers of webhooks.

Whoever names an address must not reach what only this machine can: itself, its neighbours, its cloud's metadata. So the
address is checked where the connection is made, on every hop, and nothing is read without an end.
"""
