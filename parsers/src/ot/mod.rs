//! Protocols of operational technology.

pub mod bacnet;
pub mod dnp3;
pub mod enip;
pub mod iec104;
pub mod iec61850;
pub mod modbus;
pub mod mqtt;
pub mod s7comm;
