//! What is an address of whom, and what may be dialled.

use super::*;

fn dialler(private_addresses: PrivateAddresses, cidrs: &[&str]) -> Dialler {
    let egress = Egress {
        other_hosts: OtherHosts::Refuse,
        allow: vec![],
        private_addresses,
        private_cidrs: cidrs.iter().map(|c| c.parse().unwrap()).collect(),
    };
    Dialler::new(&egress, &Timeouts::default())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn every_address_has_a_kind() {
    let table: &[(Reach, &[&str])] = &[
        (
            Reach::Public,
            &[
                "1.1.1.1",
                "9.255.255.255",
                "11.0.0.0",
                "52.94.1.1",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.1.1",
                "172.15.0.1",
                "172.32.0.1",
                "192.0.1.1",
                "192.167.1.1",
                "198.17.0.1",
                "198.20.0.1",
                "223.255.255.255",
                "2600:1f00::1",
                "2a05:d000::1",
                "2000::1",
                "2002:3401:101::1",
                "2001:200::1",
                "2001:0:3401:101:0:0:cbfe:fefe",
            ],
        ),
        (Reach::Loopback, &["127.0.0.1", "127.255.255.254", "::1"]),
        (
            Reach::Private,
            &[
                "10.0.0.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.0.1",
                "fc00::1",
                "fd00:ec2::254",
                "fdff:ffff::1",
            ],
        ),
        (
            Reach::LinkLocal,
            &[
                "169.254.169.254",
                "169.254.170.2",
                "fe80::1",
                "febf::1",
                "fec0::1",
            ],
        ),
        (
            Reach::Shared,
            &["100.64.0.1", "100.100.100.200", "100.127.255.255"],
        ),
        (
            Reach::Translated,
            &[
                "::ffff:8.8.8.8",
                "::ffff:127.0.0.1",
                "::127.0.0.1",
                "::8.8.8.8",
                "::ffff:0:10.0.0.1",
                "64:ff9b::a9fe:a9fe",
                "64:ff9b::808:808",
                "64:ff9b:1::1",
                "2002:7f00:1::1",
                "2002:a9fe:a9fe::",
                "2002:0a00:1::",
                "2001:0:a00:1::",
                "2001:0:3401:101:0:0:f5ff:fffe",
            ],
        ),
        (
            Reach::Never,
            &[
                "0.0.0.0",
                "0.1.2.3",
                "192.0.0.1",
                "192.0.2.1",
                "198.18.0.1",
                "198.19.255.255",
                "198.51.100.1",
                "203.0.113.1",
                "192.88.99.1",
                "224.0.0.1",
                "240.0.0.1",
                "255.255.255.255",
                "::",
                "ff02::1",
                "2001:db8::1",
                "2001:2::1",
                "2001:10::1",
                "2001:20::1",
                "3fff::1",
                "100::1",
                "5f00::1",
                "4000::1",
                "1::1",
                "fe00::1",
            ],
        ),
    ];
    for (reach, addresses) in table {
        for address in *addresses {
            assert_eq!(classify(ip(address)), *reach, "{address}");
        }
    }
}

#[test]
fn private_addresses_are_refused_but_for_listed_ones_of_aws() {
    let strict = dialler(PrivateAddresses::Refuse, &["10.1.0.0/16", "64:ff9b::/96"]);
    assert_eq!(strict.permit(ip("52.94.1.1"), Purpose::Tunnel), Ok(()));
    assert_eq!(strict.permit(ip("10.1.2.3"), Purpose::Aws), Ok(()));
    assert_eq!(strict.permit(ip("64:ff9b::1"), Purpose::Aws), Ok(()));
    assert_eq!(
        strict.permit(ip("10.1.2.3"), Purpose::Tunnel),
        Err(Reach::Private)
    );
    assert_eq!(
        strict.permit(ip("10.2.2.3"), Purpose::Aws),
        Err(Reach::Private)
    );
    let open = dialler(PrivateAddresses::Allow, &[]);
    assert_eq!(open.permit(ip("127.0.0.1"), Purpose::Tunnel), Ok(()));
    assert_eq!(
        open.permit(ip("224.0.0.1"), Purpose::Tunnel),
        Err(Reach::Never)
    );
}

#[tokio::test]
async fn a_name_with_refused_addresses_only_is_not_dialled() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let strict = dialler(PrivateAddresses::Refuse, &[]);
    for name in ["localhost", "127.0.0.1"] {
        let host = Host::parse(name).unwrap();
        let error = strict.dial(&host, port, Purpose::Aws).await.unwrap_err();
        assert!(matches!(error, DialError::Refused { .. }), "{error}");
    }
    let open = dialler(PrivateAddresses::Allow, &[]);
    let host = Host::parse("127.0.0.1").unwrap();
    open.dial(&host, port, Purpose::Aws).await.unwrap();
}
