"""The AWS clients, and reading S3 objects within the limits."""
