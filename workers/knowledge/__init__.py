"""Documents made searchable: files become passages, passages are indexed, and each is cited with its place."""
