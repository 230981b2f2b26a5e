"""A minimal AWS SDK: four operations of S3 and three of DynamoDB, signed, over persistent connections.

A general SDK loads descriptions of whole services, which takes most of its time at cold start. This package never
retries: `handler.aws.clients.attempt` does.
"""
