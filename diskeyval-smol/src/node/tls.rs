//! Other certificates for a node that runs.

use std::time::Duration;

use diskeyval_core::host::{Renewal, RenewalError};
use diskeyval_core::tls::Policy;
use diskeyval_core::{Answer, Event, Request, Tls};
use smol::unblock;

use super::Node;
use crate::driver::Shared;
use crate::lock;
use crate::pending::{Pending, Promise};
use crate::queue::Ask;

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
    ///
    /// # Cancellation
    /// Once polled, it takes its course: dropping the future only means not to learn of it.
    pub async fn reload_tls(&self, cert: &str, key: &str, ca: &str) -> Result<(), RenewalError> {
        let tls = Tls { cert: cert.into(), key: key.into(), ca: ca.into() };
        self.renew_by(move |renewal| Ok(Some(renewal.take(&tls)?))).await
    }

    /// Looks at the files of the certificates now ([`Config::tls_files`](crate::Config::tls_files)), and speaks by what they
    /// hold from now on. If that is what is in force already, nothing happens.
    ///
    /// # Errors
    /// As [`reload_tls`](Node::reload_tls), and [`RenewalError::NoFiles`] if the node was given no files.
    ///
    /// # Cancellation
    /// Once polled, it takes its course: dropping the future only means not to learn of it.
    pub async fn reload(&self) -> Result<(), RenewalError> {
        self.renew_by(Renewal::reload).await
    }

    async fn renew_by(
        &self,
        find: impl FnOnce(&mut Renewal) -> Result<Option<Policy>, RenewalError> + Send + 'static,
    ) -> Result<(), RenewalError> {
        let (inner, budget) = (self.inner.clone(), self.budget);
        // Whoever looks at files holds the lock meanwhile, so it is not waited for here.
        let renewed = unblock(move || {
            // Until it is queued: what is known to be in force is what the driver gets last.
            let mut renewal = lock(&inner.renewal);
            find(&mut renewal).map(|found| found.map(|policy| inner.shared.renew(policy, budget)))
        });
        match renewed.await {
            Ok(Some(pending)) => Ok(pending.await?),
            Ok(None) => Ok(()),
            Err(error) => {
                self.inner.shared.refuse_certificates(&error);
                Err(error)
            }
        }
    }
}

impl Shared {
    /// Has the driver speak by other certificates, and make links anew.
    pub(crate) fn renew(&self, policy: Policy, budget: Duration) -> Pending<()> {
        self.queue.push(Ask::Certificates { policy: Box::new(policy) });
        let (promise, pending) =
            Promise::new(|answer| if matches!(answer, Answer::LinksRenewed) { Some(Ok(())) } else { None });
        self.queue.push(Ask::Request { request: Request::RenewLinks, budget, promise });
        pending
    }

    /// Tells that what was found or given cannot be used.
    pub(crate) fn refuse_certificates(&self, error: &RenewalError) {
        if let RenewalError::Bad(why) = error {
            self.queue.push(Ask::Tell { event: Event::CertsRefused { why: why.to_string() } });
        }
    }
}
