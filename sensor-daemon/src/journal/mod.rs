//! The durable log that every consumer reads.
