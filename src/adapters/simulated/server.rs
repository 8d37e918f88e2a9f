//! Threads and sockets: a loopback listener, one thread per connection, all ended when the value is dropped.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Connections at a time; a pool of thirty clients opens a few each. More are closed at once.
const MAX_CONNECTIONS: usize = 512;

/// A loopback server that hands every connection to one function.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    open: Arc<Open>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Open {
    stopping: AtomicBool,
    connections: Mutex<HashMap<u64, TcpStream>>,
}

impl Open {
    fn connections(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let open = Arc::new(Open::default());
        let shared = Arc::clone(&open);
        let serve = Arc::new(serve);
        let acceptor = std::thread::Builder::new()
            .name("simulated-accept".to_owned())
            .spawn(move || accept(&listener, &shared, &serve))?;
        Ok(Self {
            address,
            open,
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn accept<F: Fn(TcpStream) + Send + Sync + 'static>(
    listener: &TcpListener,
    open: &Arc<Open>,
    serve: &Arc<F>,
) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for number in 0u64.. {
        let accepted = listener.accept();
        if open.stopping.load(Ordering::SeqCst) {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let Ok((stream, _)) = accepted else { continue };
        if threads.len() >= MAX_CONNECTIONS {
            continue;
        }
        let Ok(twin) = stream.try_clone() else {
            continue;
        };
        open.connections().insert(number, twin);
        let (open, serve) = (Arc::clone(open), Arc::clone(serve));
        let spawned = std::thread::Builder::new()
            .name("simulated-serve".to_owned())
            .spawn(move || {
                let _ = stream.set_nodelay(true);
                serve(stream);
                if let Some(twin) = open.connections().remove(&number) {
                    let _ = twin.shutdown(Shutdown::Both);
                }
            });
        threads.extend(spawned);
    }
    for connection in open.connections().values() {
        let _ = connection.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.open.stopping.store(true, Ordering::SeqCst);
        // The acceptor waits in `accept`: this connection is what wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}
