//! Settings: TOML to validated values, with diagnostics that name file, line and column.
