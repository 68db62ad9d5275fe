//! The `pinhole` program: arguments → config → runtime → run.

fn main() {}
