"""A log that many processes share: real redis-server, mongod and audittrail processes."""
