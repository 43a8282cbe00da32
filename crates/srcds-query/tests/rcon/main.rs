//! RCON over real sockets: servers that answer, and servers that don't want to.

mod hostile;
mod server;
mod usual;
