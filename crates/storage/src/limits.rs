//! The limits that hold in every engine, as etcd sets them (DESIGN §3).

/// Operations in a commit, and conditions likewise.
pub const MAX_OPS: usize = 100;
/// Bytes of all keys and values in a commit.
pub const MAX_COMMIT: usize = 1 << 20;
/// Bytes of a value.
pub const MAX_VALUE: usize = 512 << 10;
/// Bytes of a key.
pub const MAX_KEY: usize = 1024;
/// Bytes of the pages in one [`usage_save`](crate::Store::usage_save).
pub const MAX_USAGE: usize = 64 << 20;
/// Entries looked at under one hold of the mirror's lock.
pub(crate) const SLICE: usize = 1000;
