//! A build without groups has none that can fall: its configuration is refused before.

use crate::config::MemberWebhooks;

use super::Server;
use super::registry::Fall;

/// There are none.
#[derive(Default)]
pub struct Alerts(());

/// Nobody is told.
pub fn refusal(_: &str, _: MemberWebhooks) -> Option<String> {
    None
}

impl Server {
    /// Does nothing.
    pub(super) fn alert(&self, _: &Fall) {
        let Alerts(()) = self.alerts;
    }
}
