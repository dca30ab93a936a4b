"""What patterns decide while they run: an agent that is code, waits without a worker, and has others do the work."""
