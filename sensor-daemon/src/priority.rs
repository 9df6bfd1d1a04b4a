//! Who comes first where threads share a processor: packets and their way to the journal, then delivery, then what can be
//! done later. Linux keeps a priority by thread, and each thread takes its own when it starts. All of it is asked for, not
//! relied on: where the system refuses, a thread goes on as it is.

use std::time::Duration;

/// The turn that a [`prompt`](Rank::Prompt) thread asks for.
const PROMPT_TURN: Duration = Duration::from_micros(100);

/// What a thread is to the packets.
#[derive(Debug, Clone, Copy)]
pub enum Rank {
    /// It has a packet or an alert in hand. Woken while another thread runs, it does not wait for the end of that one's turn,
    /// which takes 3 to 4 ms: it asks for short turns itself, and the scheduler (EEVDF, from Linux 6.12 on) lets the shorter
    /// one in. Its share of the processor stays what it is.
    Prompt,
    /// Others wait for it, but less than for packets: delivery, a reload.
    Behind,
    /// It is shed, or merely late, where packets need the processor: records, sealing, files of evidence. What makes and removes
    /// large files is not to be interrupted for long: others' syncs wait for it.
    Last,
    /// It runs when nothing else would: the buffer of evidence, the index. A thread that wakes interrupts it at once.
    Idle,
}

impl Rank {
    /// Gives the calling thread this rank.
    pub fn take(self) {
        match self {
            Self::Prompt => ask_for_turns_of(PROMPT_TURN),
            Self::Behind => be_nice(10),
            Self::Last => be_nice(19),
            Self::Idle => be_idle(),
        }
    }
}

fn be_nice(niceness: i32) {
    let _ = rustix::process::setpriority_process(None, niceness);
}

fn be_idle() {
    // SAFETY: numbers are a valid value of it when they are zero.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a value that lives during the call; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
}

/// Kernels before 6.12 take it and do nothing.
fn ask_for_turns_of(turn: Duration) {
    // SAFETY: numbers are a valid value of it when they are zero.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    attributes.size = size_of::<libc::sched_attr>() as u32;
    attributes.sched_policy = libc::SCHED_OTHER as u32;
    attributes.sched_runtime = turn.as_nanos() as u64;
    // SAFETY: the pointer is to a value that lives during the call and says its size; 0 is the calling thread.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn an_idle_thread_is_scheduled_as_such() {
        let policy = thread::spawn(|| {
            Rank::Idle.take();
            // SAFETY: a call without pointers.
            unsafe { libc::sched_getscheduler(0) }
        });
        assert_eq!(policy.join().unwrap(), libc::SCHED_IDLE);
    }

    #[test]
    fn a_prompt_thread_keeps_its_policy_and_niceness() {
        let (policy, niceness) = thread::spawn(|| {
            Rank::Prompt.take();
            // SAFETY: a call without pointers.
            (unsafe { libc::sched_getscheduler(0) }, rustix::process::getpriority_process(None))
        })
        .join()
        .unwrap();
        assert_eq!((policy, niceness), (libc::SCHED_OTHER, Ok(0)));
    }
}
