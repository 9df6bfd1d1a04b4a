//! The project's own tasks: `cargo xtask <task>`. One file a task.
// A program has no public API: `pub` only opens a module to the others.
#![allow(unreachable_pub)]

mod bench;
mod captures;
mod demo;
mod dist;
mod docs;
mod ebpf;
mod flood;
mod fuzz;
mod licences;
mod new_protocol;
mod release;
mod test;
mod tools;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own tasks")]
enum Task {
    Demo(demo::Arguments),
    Test(test::Arguments),
    Bench(bench::Arguments),
    Docs(docs::Arguments),
    Ebpf(ebpf::Arguments),
    Fuzz(fuzz::Arguments),
    Captures(captures::Arguments),
    NewProtocol(new_protocol::Arguments),
    Release(release::Arguments),
    Dist(dist::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Demo(arguments) => demo::run(&arguments).map(|()| true),
        Task::Test(arguments) => test::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments).map(|()| true),
        Task::Docs(arguments) => docs::run(&arguments).map(|()| true),
        Task::Ebpf(arguments) => ebpf::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Captures(arguments) => captures::run(&arguments).map(|()| true),
        Task::NewProtocol(arguments) => new_protocol::run(&arguments).map(|()| true),
        Task::Release(arguments) => release::run(&arguments).map(|()| true),
        Task::Dist(arguments) => dist::run(&arguments).map(|()| true),
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
