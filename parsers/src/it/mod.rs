//! Thin adapters over well-kept libraries for the protocols of information technology. Empty until their issue.
