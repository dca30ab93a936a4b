"""What a job did, to be looked at: its trace put together from the store, as a graph, and in forms for people."""
