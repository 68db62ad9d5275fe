//! Covers against each other.
