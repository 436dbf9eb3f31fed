//! Other certificates for a node that runs.

use std::sync::Arc;
use std::time::Duration;

use diskeyval_core::host::RenewalError;
use diskeyval_core::tls::Policy;
use diskeyval_core::{Event, Request, Tls};

use super::Node;
use crate::driver::Shared;
use crate::lock;
use crate::pending::{Pending, Promise};
use crate::queue::{Ask, Reply};
use crate::tls::Context;

/// # Certificates
///
/// Certificate, key and CA bundle can be replaced while the node runs. Links move over: each peer is dialled by the new ones
/// while its link goes on. A link whose other end would not be let in any more is cut at once, and one that nothing has taken
/// the place of is closed after `rpc_timeout`. [`status`](Node::status) tells until when certificates are good, and
/// [`Event::CertExpires`] when one ends soon.
impl Node {
    /// Speaks by these from now on, each as PEM text. They must be for the same node. When this returns `Ok`, no connection
    /// is made by the former ones any more.
    ///
    /// A node that has files goes on looking at them, and takes what they hold when that changes.
    ///
    /// # Errors
    /// [`RenewalError::Bad`] names the part that is wrong, as at a start: the former ones stay in force.
    /// [`RenewalError::Ended`]: the node has ended.
    pub fn reload_tls(&self, cert: &str, key: &str, ca: &str) -> Result<(), RenewalError> {
        let tls = Tls { cert: cert.into(), key: key.into(), ca: ca.into() };
        let renewed = {
            // Until they are queued: what is known to be in force is what the driver gets last.
            let mut renewal = lock(&self.inner.renewal);
            let taken = renewal.take(&tls).map_err(RenewalError::from);
            taken.map(|policy| self.inner.shared.renew(&policy, self.budget))
        };
        self.wait_renewed(renewed)
    }

    /// Looks at the files of the certificates now ([`Config::tls_files`](crate::Config::tls_files)), and speaks by what they
    /// hold from now on. If that is what is in force already, nothing happens.
    ///
    /// # Errors
    /// As [`reload_tls`](Node::reload_tls), and [`RenewalError::NoFiles`] if the node was given no files.
    pub fn reload(&self) -> Result<(), RenewalError> {
        let renewed = {
            let mut renewal = lock(&self.inner.renewal);
            match renewal.reload() {
                Ok(None) => return Ok(()),
                Ok(Some(policy)) => Ok(self.inner.shared.renew(&policy, self.budget)),
                Err(error) => Err(error),
            }
        };
        self.wait_renewed(renewed)
    }

    fn wait_renewed(&self, renewed: Result<Pending<()>, RenewalError>) -> Result<(), RenewalError> {
        match renewed {
            Ok(pending) => Ok(pending.wait()?),
            Err(error) => {
                self.inner.shared.refuse_certificates(&error);
                Err(error)
            }
        }
    }
}

impl Shared {
    /// Has the driver speak by other certificates, and make links anew.
    pub(crate) fn renew(self: &Arc<Shared>, policy: &Policy, budget: Duration) -> Pending<()> {
        self.queue.push(Ask::Certificates { context: Box::new(Context::new(policy)) });
        let (promise, pending) = Promise::new(&self.hub);
        let reply = Reply::Renewed(promise);
        self.queue.push(Ask::Request { request: Request::RenewLinks, budget, reply });
        pending
    }

    /// Tells that what was found or given cannot be used.
    pub(crate) fn refuse_certificates(&self, error: &RenewalError) {
        if let RenewalError::Bad(why) = error {
            self.queue.push(Ask::Tell { event: Event::CertsRefused { why: why.to_string() } });
        }
    }
}
