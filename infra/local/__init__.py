"""The local AWS: start it on loopback, deploy infra/template.yaml to it, upload photos."""
