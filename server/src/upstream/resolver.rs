//! From a host's name to addresses, for providers that were added over the admin API: those that lead
//! inside are left out, at every new connection, whatever the name meant when it was written.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use domain::destination;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

/// The machine's own resolver, with a look at what it says.
#[derive(Clone)]
pub(super) struct Guarded {
    inner: GaiResolver,
    /// Whether this machine and private networks may be called.
    private: bool,
}

impl Guarded {
    pub(super) fn new(private: bool) -> Self {
        Self { inner: GaiResolver::new(), private }
    }
}

impl Service<Name> for Guarded {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, private) = (self.inner.call(name), self.private);
        Box::pin(async move {
            let outside = |address: &SocketAddr| destination::may_be_at(address.ip(), private);
            let addresses: Vec<_> = found.await?.filter(outside).collect();
            if addresses.is_empty() {
                return Err(io::Error::other("the name leads to no address that may be called"));
            }
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_inside_leads_nowhere_unless_that_is_allowed() {
        let name: Name = "localhost".parse().unwrap();
        let refused = Guarded::new(false).call(name.clone()).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("may be called")));
        assert!(Guarded::new(true).call(name).await.unwrap().len() > 0);
    }
}
