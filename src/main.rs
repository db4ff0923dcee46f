//! The one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    onyx_auth::cli::run()
}
