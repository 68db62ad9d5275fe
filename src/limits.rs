//! Every size, count and time.
