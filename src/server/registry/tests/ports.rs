//! Ports of services that only clients name.

use super::*;

#[test]
fn a_tunnel_tries_its_wish_and_then_every_port_once() {
    let range = Ports {
        first: 65_534,
        last: 65_535,
    };
    let any = |port, is_must, name: &str| candidates(range, Wish { port, is_must }, name).collect::<Vec<_>>();
    for name in ["a", "b", "c", "d"] {
        let mut all = any(0, false, name);
        assert_eq!(all, any(0, false, name));
        assert_eq!(any(65_535, false, name)[0], 65_535);
        all.sort_unstable();
        assert_eq!(all, [65_534, 65_535]);
    }
    assert_eq!(any(65_535, true, "a"), [65_535]);
    assert!(any(7, true, "a").is_empty() && any(7, false, "a").len() == 2);
    let first: Vec<_> = ('a'..='z').map(|name| any(0, false, &name.to_string())[0]).collect();
    assert!(first.contains(&65_534) && first.contains(&65_535));
}

fn tunnel(client: u8, name: &str, terms: &Terms) -> Tunnel {
    Tunnel::of(Kind::Tcp, [client; 16], name, terms)
}

#[test]
fn tunnels_of_one_name_are_each_their_clients_own_and_groups_are_one() {
    let mut registry = Registry::default();
    let (any, alone) = (
        Wish {
            port: 0,
            is_must: false,
        },
        Terms::default(),
    );
    registry.add(ONE, Some(tunnel(1, "ssh", &alone)));
    registry.assign(ONE, 20_001);
    assert_eq!(registry.tunnel(&tunnel(1, "ssh", &alone), any), Some(ONE));
    assert_eq!(registry.tunnel(&tunnel(2, "ssh", &alone), any), None);
    let must = Wish {
        port: 20_001,
        is_must: true,
    };
    assert_eq!(
        registry.tunnel(&tunnel(2, "ssh", &alone), must),
        Some(ONE),
        "to be settled"
    );
    assert_eq!(registry.tunnel(&tunnel(2, "web", &alone), must), None);
    assert!(!registry.is_free(Kind::Tcp, 20_001) && registry.is_free(Kind::Udp, 20_001));
    registry.add(TWO, Some(tunnel(1, "web", &group("pool", "key"))));
    assert_eq!(
        registry.tunnel(&tunnel(2, "other", &group("pool", "x")), any),
        Some(TWO)
    );
    claim(&mut registry, ONE, member(1, 1));
    join(&mut registry, member(2, 2), &alone);
    assert_eq!((registry.tunnels_of(&[1; 16]), registry.tunnels_of(&[2; 16])), (1, 0));
    registry.leave(NOW, 1);
    assert_eq!(registry.tunnels_of(&[1; 16]), 0);
}
