"""The front door: Troupe over HTTP, for producers, pages and other agents. Imported by its command only."""
