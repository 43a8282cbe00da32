//! The simulations as processes: the real program, asked over real sockets.

mod client;
mod game;
mod misbehaviour;
mod server;
