//! The project's own tasks: `cargo xtask <task>`. One file a task.

mod docs;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what is missing and run every check: format, lints, unit, property, golden and live tests
    Test(test::Test),
    /// Write the generated pages of the manual
    Docs(docs::Docs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test(test) => test.run(),
        Task::Docs(docs) => docs.run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
