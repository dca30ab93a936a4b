"""An explicit-state model of lease, fence, outbox and sweep, and the check of every state it can reach."""
