"""What several parts of the operator code share."""
