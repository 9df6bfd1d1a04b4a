//! Vigía: a passive network sensor for plants and substations.
fn main() {}
