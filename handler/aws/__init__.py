"""The AWS clients, and S3 objects as the pipeline reads them."""
