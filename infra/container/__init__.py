"""Build the container image: `build` starts the build; `infra/Dockerfile` runs other programs by their paths."""
