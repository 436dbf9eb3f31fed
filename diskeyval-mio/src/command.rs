//! What is typed to the command, understood. It is for the command and for those who try to break it, and no part of the
//! interface.

pub mod line;
pub mod peer;
pub mod request;
pub mod text;
