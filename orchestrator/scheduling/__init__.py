"""When and where attempts run: decisions (pure), publishing, and acting on what moves have left to do."""
