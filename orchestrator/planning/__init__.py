"""Plans: the graph, and whether one may run. Pure."""
