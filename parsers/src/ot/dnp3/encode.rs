//! Builds frames for the tests: the other direction of what this module reads.

use super::link;

/// A frame with its CRCs.
pub(super) fn frame(control: u8, destination: u16, source: u16, user_data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x05, 0x64, 5 + user_data.len() as u8, control];
    out.extend_from_slice(&destination.to_le_bytes());
    out.extend_from_slice(&source.to_le_bytes());
    out.extend_from_slice(&link::crc(&out).to_le_bytes());
    for block in user_data.chunks(link::BLOCK) {
        out.extend_from_slice(block);
        out.extend_from_slice(&link::crc(block).to_le_bytes());
    }
    out
}

/// A request or response in one frame from master 1 to outstation 10, or back.
pub(super) fn whole(fragment: &[u8]) -> Vec<u8> {
    segments(fragment, 0).pop().expect("one frame")
}

/// The frames of a fragment, the first with transport sequence number `first`; responses go from 10 to 1.
pub(super) fn segments(fragment: &[u8], first: usize) -> Vec<Vec<u8>> {
    let response = fragment.get(1).is_some_and(|function| *function & 0x80 != 0);
    let (control, destination, source) = if response { (0x44, 1, 10) } else { (0xc4, 10, 1) };
    let chunks: Vec<&[u8]> = fragment.chunks(super::transport::SEGMENT).collect();
    chunks
        .iter()
        .enumerate()
        .map(|(number, chunk)| {
            let fir = if number == 0 { 0x40 } else { 0 };
            let fin = if number + 1 == chunks.len() { 0x80 } else { 0 };
            let mut data = vec![fir | fin | ((first + number) & 0x3f) as u8];
            data.extend_from_slice(chunk);
            frame(control, destination, source, &data)
        })
        .collect()
}
