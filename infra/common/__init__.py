"""Code that several parts of `infra` share."""
