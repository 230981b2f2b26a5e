"""What sends events: an event becomes jobs, and their outcomes become the answer that it expects."""
