//! Vigía's programs in the kernel. One file a program; names, sizes and layouts stand in `abi/`.
#![no_std]
#![no_main]

mod copies;
mod fanout;
mod guard;
mod headers;
mod scratch;
mod tap;

/// What helpers for the GPL ask for. The programs themselves are MIT OR Apache-2.0.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier refuses a program that could come here and not end.
    loop {}
}
