"""Every guard of the reliability promises, and a script that takes each away to see which test fails."""
