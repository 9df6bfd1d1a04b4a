//! Protocols of operational technology.

pub mod dnp3;
pub mod modbus;
