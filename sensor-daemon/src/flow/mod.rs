//! Flows: table, timers, IP defragmentation, TCP reassembly, duplicate discard.
