"""What is done for tenants beside their jobs."""
