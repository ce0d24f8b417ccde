//! Entries: limits, canonical JSON, sealing, leaves and signing keys.
