"""What attempts hear and do, written down as it happens: budgets rest on it, and the next attempt goes on from it."""
