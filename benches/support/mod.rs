//! What benchmarks of the whole server stand on: a database with clients, a server, a load.

pub mod balancer;
pub mod cpu;
pub mod load;
pub mod postgres;
pub mod server;
