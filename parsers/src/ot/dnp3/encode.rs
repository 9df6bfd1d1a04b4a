//! Test encoder.
