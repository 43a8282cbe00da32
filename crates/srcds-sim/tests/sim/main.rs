//! The simulations as processes: the real program, asked over real sockets.

mod app_info;
mod client;
mod files;
mod game;
mod misbehaviour;
mod server;
mod steamcmd;
