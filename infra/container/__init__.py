"""Build the container image: `build` starts the build, and `infra/Dockerfile` runs the other programs by their paths."""
