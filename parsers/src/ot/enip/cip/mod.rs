//! CIP: services asked of objects, and their answers, as EtherNet/IP carries them.

pub(super) mod connection;
pub(super) mod eve;
pub(super) mod identity;
pub(super) mod names;
pub(super) mod operation;
pub(super) mod path;
mod pccc;
pub(super) mod record;
pub(super) mod service;
mod tag;
