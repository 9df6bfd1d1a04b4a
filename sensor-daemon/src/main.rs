//! Vigía: a passive network sensor for plants and substations.

use std::process::ExitCode;

fn main() -> ExitCode {
    vigia::command::main()
}
