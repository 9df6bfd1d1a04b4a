//! What is reported, and its wire form: EVE JSON.
