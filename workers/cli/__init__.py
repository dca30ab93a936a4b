"""Commands of the workers' side; the composition root mounts each module when it is asked for."""
