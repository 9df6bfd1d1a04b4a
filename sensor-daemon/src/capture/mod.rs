//! Where packets come from: capture files and live interfaces behind one trait, by batches.
