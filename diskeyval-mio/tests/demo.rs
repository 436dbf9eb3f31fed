//! The demo, as its users run it: whole clusters of processes.
