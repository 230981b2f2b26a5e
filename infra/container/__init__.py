"""Programs of the container image's build: `infra/Dockerfile` runs them, each by its path."""
