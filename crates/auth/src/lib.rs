//! Who is asking: principals, roles, scopes and token checks.
