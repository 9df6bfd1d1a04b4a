//! Protocols of operational technology.

pub mod dnp3;
pub mod enip;
pub mod modbus;
pub mod mqtt;
