//! What an unknown key was probably meant to be.

use super::keys::{self, KeyPath};

/// Bytes of a key at most that is worth comparing; none of ours is half as long.
const MAX_COMPARED: usize = 40;

/// The sentence about an unknown key, and the key it looks like, if any.
pub(super) struct Suggestion {
    pub(super) text: String,
    pub(super) meant: Option<&'static str>,
}

/// Looks for `key` in other tables of the role, for a similar key in its own (`table`), then in the other role; else
/// lists what can stand there.
pub(super) fn suggest(table: &KeyPath<'_>, key: &str) -> Suggestion {
    let role = table.block();
    let elsewhere = |place: String| Suggestion {
        text: format!("unknown key here; it belongs in {place}"),
        meant: None,
    };
    if let Some(place) = places(role, key) {
        return elsewhere(place);
    }
    if let Some(meant) = nearest(table, key) {
        return Suggestion {
            text: format!("unknown key; did you mean `{meant}`?"),
            meant: Some(meant),
        };
    }
    match places(None, key) {
        Some(place) => elsewhere(place),
        None => Suggestion {
            text: format!("unknown key; known here: {}", known(table)),
            meant: None,
        },
    }
}

/// The tables (of `role`) that have exactly this key.
fn places(role: Option<&str>, key: &str) -> Option<String> {
    let is_ours = |place: &str| place.starts_with('*') || role.is_none_or(|role| place.split('.').next() == Some(role));
    let tables = keys::ROWS
        .iter()
        .filter(|row| row.name() == key)
        .filter_map(|row| row.path.rsplit_once('.'));
    let mut list = String::new();
    for (table, _) in tables.filter(|(table, _)| is_ours(table)) {
        append(&mut list, " or ", ["[", table, "]"]);
    }
    let list = role.map_or(list.clone(), |role| list.replace("[*", &format!("[{role}")));
    if list.is_empty() { None } else { Some(list) }
}

fn nearest(table: &KeyPath<'_>, key: &str) -> Option<&'static str> {
    if key.len() > MAX_COMPARED {
        return None;
    }
    let key = key.to_ascii_lowercase();
    let limit = (key.chars().count() / 3).max(1);
    let near = keys::inside(table).map(|row| (distance(&key, row.name()), row.name()));
    near.filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

fn known(table: &KeyPath<'_>) -> String {
    let mut list = String::new();
    for row in keys::inside(table) {
        append(&mut list, ", ", ["`", row.name(), "`"]);
    }
    list
}

fn append(list: &mut String, separator: &str, item: [&str; 3]) {
    if !list.is_empty() {
        list.push_str(separator);
    }
    item.iter().for_each(|part| list.push_str(part));
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut older = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(older[j - 2] + 1);
            }
            row.push(least);
        }
        older = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised() {
        for (table, key, meant) in [
            (&["server"][..], "bind_adr", Some("bind_addr")),
            (&["server"], "bind-addr", Some("bind_addr")),
            (&["server"], "Bind_Addr", Some("bind_addr")),
            (&["server"], "service", Some("services")),
            (&["server", "services", "a"], "tokne", Some("token")),
            (&[], "sever", Some("server")),
            (&["server"], "colour", None),
        ] {
            assert_eq!(suggest(&KeyPath::of(table), key).meant, meant, "{key}");
        }
    }

    #[test]
    fn a_key_in_the_wrong_table_is_sent_to_the_right_one() {
        let text = |table: &[&str], key| suggest(&KeyPath::of(table), key).text;
        assert!(text(&["server", "transport"], "keepalive_secs").ends_with("belongs in [server.transport.tcp]"));
        assert!(text(&["client"], "token").ends_with("belongs in [client.services.*]"));
        assert!(text(&[], "bind_addr").ends_with("belongs in [server] or [server.services.*]"));
        assert!(text(&["client"], "heartbeat_interval").ends_with("belongs in [server]"));
    }

    #[test]
    fn otherwise_the_keys_are_listed() {
        assert!(
            suggest(&KeyPath::of(&["server", "transport", "websocket"]), "colour")
                .text
                .ends_with("known here: `tls`, `path`")
        );
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "", 0), ("", "abc", 3), ("abc", "acb", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(a, b), expected);
        }
    }
}
