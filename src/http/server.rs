//! Listeners: bound first, served when the application is ready, drained at the end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App as ActixApp, HttpServer, web};
use rustls::ServerConfig;

use super::connections::{Connections, end_unread, of_each_worker};
use super::openapi::Documents;
use super::routes::{self, Face};
use super::tls::{Certificates, TlsError};
use super::trace;
use crate::app::App;
use crate::config::{Role, Settings};

/// How long requests under way may take to finish once the server is asked to stop.
const DRAIN_SECONDS: u64 = 30;

/// How long a process that was told to stop may take to end, beside the delay: for requests, and for what is left to
/// write.
const LONGEST_END: Duration = Duration::from_secs(DRAIN_SECONDS + 15);

/// How long a request's head may take to arrive.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(75);

/// The most connections of the operations listener.
const OPS_CONNECTIONS: usize = 256;

/// The sockets of a process, bound and not served yet.
#[derive(Debug)]
pub struct Listeners {
    public: TcpListener,
    admin: Option<TcpListener>,
    ops: TcpListener,
    certificates: Option<Certificates>,
}

/// A listener cannot be had; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not this machine's.
    #[error("{key}: cannot listen on {address}: {cause}")]
    Bind {
        /// The setting.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server failed while it ran.
    #[error("the server failed: {0}")]
    Serve(#[from] std::io::Error),
}

impl Listeners {
    /// Binds every configured address, and reads the TLS files.
    pub fn bind(settings: &Settings) -> Result<Self, ListenError> {
        let bind = |key: &'static str, address: SocketAddr| {
            TcpListener::bind(address)
                .inspect(end_unread)
                .map_err(|cause| ListenError::Bind {
                    key,
                    address,
                    cause,
                })
        };
        Ok(Self {
            public: bind("listen", settings.listen)?,
            admin: settings
                .admin_listen
                .map(|address| bind("admin_listen", address))
                .transpose()?,
            ops: bind("ops_listen", settings.ops_listen)?,
            certificates: settings.tls.as_ref().map(Certificates::open).transpose()?,
        })
    }
}

/// The servers of a process, running.
pub struct Running {
    app: Arc<App>,
    servers: Vec<Server>,
    handles: Vec<ServerHandle>,
}

/// Serves the listeners; must be called within actix's runtime.
pub fn start(app: &Arc<App>, listeners: Listeners) -> Result<Running, ListenError> {
    let Listeners {
        public,
        admin,
        ops,
        certificates,
    } = listeners;
    let tls = certificates
        .as_ref()
        .map(Certificates::config)
        .transpose()?;
    if let Some(certificates) = certificates {
        // Ends with the runtime.
        actix_web::rt::spawn(certificates.follow());
    }
    let shows_admin = app.settings.has_role(Role::Admin) || app.settings.has_role(Role::Auth);
    let face = if admin.is_some() {
        Face::Public
    } else {
        Face::Whole
    };
    let documents = web::Data::new(Documents::of(&app.addresses));
    let mut servers = vec![
        serve(app, &documents, public, tls, face)?,
        serve(app, &documents, ops, None, Face::Ops)?,
    ];
    if let Some(admin) = admin.filter(|_| shows_admin) {
        servers.push(serve(app, &documents, admin, None, Face::Admin)?);
    }
    let handles = servers.iter().map(Server::handle).collect();
    Ok(Running {
        app: Arc::clone(app),
        servers,
        handles,
    })
}

impl Running {
    /// Runs until the process is told to stop, by a signal (SIGTERM, SIGINT) or by `until`; then takes no new
    /// connections and lets requests under way finish.
    ///
    /// On SIGTERM it turns unready first and serves on for `drain_delay`: whoever hands requests out needs a
    /// moment to see it, and a request that has reached the socket is not refused.
    pub async fn run(self, until: impl Future<Output = Told>) -> Result<(), ListenError> {
        let Self {
            app,
            servers,
            handles,
        } = self;
        let tasks: Vec<_> = servers.into_iter().map(actix_web::rt::spawn).collect();
        let told = tokio::select! {
            told = stop_signal() => told,
            told = until => told,
        };
        app.stopping.store(true, Ordering::Relaxed);
        if told != Told::Done {
            log::info!("stopping: finishing requests under way");
            end_in(Duration::from_secs(app.settings.drain_delay) + LONGEST_END);
        }
        if told == Told::Terminate {
            let delay = Duration::from_secs(app.settings.drain_delay);
            // Told again: at once.
            let _ = tokio::time::timeout(delay, stop_signal()).await;
        }
        // Streams have no end of their own.
        app.feed.close();
        // All at once: each may take as long as requests may.
        let stops: Vec<_> = handles.iter().map(|handle| handle.stop(true)).collect();
        for stop in stops {
            stop.await;
        }
        for task in tasks {
            if let Ok(ended) = task.await {
                ended?;
            }
        }
        Ok(())
    }
}

/// How the process was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// SIGTERM: by what runs it, among others perhaps. Or it cannot go on.
    Terminate,
    /// SIGINT: by somebody at a terminal.
    Interrupt,
    /// What it was started for is done.
    Done,
}

/// Ends the process if it has not ended by then: a database that is frozen, or behind a network that is gone, answers
/// nobody and holds whoever asks.
fn end_in(time: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        log::error!(
            "the process does not come to its end: something that it waits for does not answer; it ends now"
        );
        std::process::exit(1);
    });
}

async fn stop_signal() -> Told {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => Told::Terminate,
                _ = tokio::signal::ctrl_c() => Told::Interrupt,
            }
        }
        Err(error) => {
            log::warn!("SIGTERM cannot be heard: {error}");
            let _ = tokio::signal::ctrl_c().await;
            Told::Interrupt
        }
    }
}

fn serve(
    app: &Arc<App>,
    documents: &web::Data<Documents>,
    listener: TcpListener,
    tls: Option<ServerConfig>,
    face: Face,
) -> Result<Server, ListenError> {
    let data = web::Data::from(Arc::clone(app));
    let documents = documents.clone();
    let name = format!("{face:?}").to_ascii_lowercase();
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || {
        let (data, documents, app) = (data.clone(), documents.clone(), data.clone());
        ActixApp::new()
            .configure(|config| routes::lay(config, &data, &documents, face))
            .wrap(from_fn(move |request, next| {
                trace::request(app.clone(), request, next)
            }))
    })
    .disable_signals()
    .shutdown_timeout(DRAIN_SECONDS)
    .client_request_timeout(HEAD_PATIENCE)
    .keep_alive(IDLE)
    .server_hostname(address.to_string());
    let (workers, most) = if face == Face::Ops {
        (1, OPS_CONNECTIONS)
    } else {
        (workers(), app.settings.max_connections)
    };
    // Each listener counts for itself: who fills the public one keeps nobody from the others.
    let connections = Arc::new(Connections::new(
        app.settings.connections_per_address,
        app.settings.trusted_proxies.clone(),
    ));
    let of_each = of_each_worker(most, workers);
    let server = server
        .workers(workers)
        .max_connections(of_each)
        // Before a listener is added: it takes over what is set by then.
        .on_connect(move |socket, data| connections.meet(socket, data));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let server = match tls {
        // As many handshakes at a time as connections: unless told, 256 that send nothing keep everybody else waiting.
        Some(config) => server
            .max_connection_rate(of_each)
            .listen_rustls_0_23(listener, config)?,
        None => server.listen(listener)?,
    };
    log::info!("listening on {scheme}://{address} ({name})");
    Ok(server.run())
}

/// A worker for each processor, as actix has it unless told.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}
