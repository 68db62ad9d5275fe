//! What a run of good and bad probes says of a local service. Pure.

/// A local service's health, told when it changes.
pub struct Health {
    /// Failures in a row until it is bad.
    most: u32,
    failures: u32,
    said: Option<bool>,
}

impl Health {
    /// Not known yet; bad after `most` failures in a row.
    pub fn new(most: u32) -> Health {
        Health {
            most: most.max(1),
            failures: 0,
            said: None,
        }
    }

    /// A probe was good or not. Some: that is news, with the number of failures in a row.
    pub fn on_probe(&mut self, is_good: bool) -> Option<(bool, u32)> {
        self.failures = if is_good { 0 } else { self.failures.saturating_add(1) };
        let is_decided = is_good || self.failures >= self.most;
        if !is_decided || self.said == Some(is_good) {
            return None;
        }
        self.said = Some(is_good);
        Some((is_good, self.failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said after each of these probes: `+` good, `-` bad.
    fn said(most: u32, probes: &str) -> Vec<Option<(bool, u32)>> {
        let mut health = Health::new(most);
        probes.chars().map(|probe| health.on_probe(probe == '+')).collect()
    }

    #[test]
    fn only_edges_are_told() {
        let (up, down) = (Some((true, 0)), Some((false, 3)));
        assert_eq!(said(3, "++--+"), [up, None, None, None, None]);
        assert_eq!(said(3, "+------"), [up, None, None, down, None, None, None]);
        assert_eq!(said(3, "+---+"), [up, None, None, down, up]);
        assert_eq!(said(3, "+--+--"), [up, None, None, None, None, None]);
        assert_eq!(said(3, "---"), [None, None, down]);
        assert_eq!(said(3, "-+--+---"), [None, up, None, None, None, None, None, down]);
    }

    #[test]
    fn none_acts_as_one() {
        assert_eq!(said(0, "+-"), [Some((true, 0)), Some((false, 1))]);
    }
}
