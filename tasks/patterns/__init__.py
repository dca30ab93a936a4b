"""Patterns of working together: what they say, and the plan that each is compiled to. Both sides know them: producers
compile the outermost, and the coordinating agent those within, while it runs."""
