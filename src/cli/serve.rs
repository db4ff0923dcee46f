//! `onyx-auth serve` and `onyx-auth migrate`.

use std::sync::Arc;

use super::settings::SettingFlags;
use super::{Done, Failure, block_on};
use crate::app::App;
use crate::causes::Causes;
use crate::clock::Clock;
use crate::config::Settings;
use crate::http::server::{self, Listeners, Told};
use crate::store::{OpenError, Store};
use crate::{logging, worker};

/// Runs the server until it is told to stop.
pub(super) fn serve(flags: &SettingFlags) -> Done {
    let settings = flags.load()?;
    logging::start(&settings.log, settings.log_format);
    let listeners = bind(&settings)?;
    let app = build(settings)?;
    log::info!("this is onyx-auth {}", env!("CARGO_PKG_VERSION"));
    block_on(async {
        let mut loops = worker::start(&app);
        let running = server::start(&app, listeners)?;
        let mut is_whole = true;
        let failed = async {
            loops.failed().await;
            is_whole = false;
            Told::Terminate
        };
        let ended = running.run(failed).await;
        worker::finish(&app, loops).await;
        ended?;
        if is_whole {
            Ok(())
        } else {
            let why = "work beside the server has failed, as the log says; start it again";
            Err(Failure::Refused(why.to_owned()))
        }
    })?;
    app.close();
    log::info!("stopped");
    Ok(())
}

/// Brings the database to this program's version.
pub(super) fn migrate(flags: &SettingFlags) -> Done {
    let settings = flags.load()?;
    logging::start(&settings.log, settings.log_format);
    let ran = Store::open(&settings.database_url).and_then(|store| store.migrate());
    let ran = ran.map_err(|error: OpenError| Failure::Usage(Causes(&error).to_string()))?;
    if ran.is_empty() {
        eprintln!("The database is up to date.");
    }
    for version in ran {
        eprintln!("Ran {version}.");
    }
    Ok(())
}

/// Binds the listeners; an address that cannot be had is a wrong configuration.
pub(super) fn bind(settings: &Settings) -> Result<Listeners, Failure> {
    Listeners::bind(settings).map_err(|error| Failure::Usage(Causes(&error).to_string()))
}

/// Builds the application; what stands in the way of a start is a wrong configuration.
pub(super) fn build(settings: Settings) -> Result<Arc<App>, Failure> {
    App::build(settings, Clock::system())
        .map_err(|error| Failure::Usage(Causes(&error).to_string()))
}
