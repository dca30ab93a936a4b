"""One client, two doors: what it promises is tried over Redis and over HTTP alike."""
