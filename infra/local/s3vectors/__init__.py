"""A stand-in for Amazon S3 Vectors, for development and tests only.

Neither the local AWS nor moto can query vectors, so this answers the calls of S3 Vectors, at the endpoint of the local
AWS. It searches exactly, where the service searches approximately. It keeps everything in memory until the process
ends. It has the service's limits, errors, filters and paging, as far as dropvec needs them. The code that runs in
Lambda does not know it.

Differences from the service: it never throttles, does not check that a KMS key exists or may be used, and knows neither
policies of vector buckets nor queries by text. It refuses members of a request that it does not know.

`service` is the stand-in itself; `front`, `asgi`, `iam` and `cloudformation` connect it to the local AWS.
"""
