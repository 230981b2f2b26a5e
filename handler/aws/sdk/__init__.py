"""As much of an AWS SDK as the function uses: four calls of S3 and three of DynamoDB, signed, over kept connections.

A general SDK reads descriptions of whole services at cold start; that is most of what it costs. Nothing here tries a
call again: that is `handler.aws.clients.attempt`'s.
"""
