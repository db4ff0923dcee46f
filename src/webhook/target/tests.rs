//! Every trick that is known to us, and what must pass.

use proptest::prelude::*;

use super::*;

const STRICT: Guard = Guard {
    allow_loopback: false,
};
const LOCAL: Guard = Guard {
    allow_loopback: true,
};

#[test]
fn no_special_address_is_allowed() {
    for denied in [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2001:470:1::5efe:a00:1",
        "2001:470:1:0:200:5efe:a00:1",
        "2002:a00:1::",
        "3fff::1",
        "3fff:fff:ffff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    ] {
        let address: IpAddr = denied.parse().unwrap();
        assert!(!STRICT.allows(address), "{denied}");
        let loopback = address.to_canonical().is_loopback();
        assert_eq!(LOCAL.allows(address), loopback, "{denied}");
    }
}

#[test]
fn what_is_on_the_internet_is_allowed() {
    for good in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "::ffff:1.1.1.1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "2a00:1450:4001:81b::200e",
        "3ffe::1",
    ] {
        let address: IpAddr = good.parse().unwrap();
        assert!(STRICT.allows(address), "{good}");
    }
}

#[test]
fn a_url_is_https_and_nothing_besides() {
    let told = |text: &str| STRICT.read(text).unwrap_err();
    for good in [
        "https://hooks.example.com/in?account=1",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com./in",
        "https://hooks.example.com/a@b",
        "https://bücher.example/",
        "https://[2a00:1450:4001:81b::200e]/",
        "https://1.1.1.1/",
    ] {
        assert!(STRICT.read(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "hooks",
        "/hooks",
        "//hooks.example.com",
        "https://",
        "https://a b/",
        "https:hooks.example.com/",
        "https:///hooks.example.com/",
        "https:\\\\hooks.example.com/",
        "https://hooks.exa\tmple.com/",
        "https://hooks.example.com/\n",
        " https://hooks.example.com/",
    ] {
        assert_eq!(told(bad), BadTarget::Malformed, "{bad}");
    }
    let long = format!("https://hooks.example.com/{}", "a".repeat(LONGEST));
    assert_eq!(told(&long), BadTarget::Malformed);
    for bad in [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "javascript:alert(1)",
    ] {
        assert_eq!(told(bad), BadTarget::Scheme, "{bad}");
    }
    for bad in [
        "https://user@hooks.example.com/",
        "https://user:word@hooks.example.com/",
        "https://:word@hooks.example.com/",
        "https://@hooks.example.com/",
        "https://1.1.1.1@127.0.0.1/",
        "https:\\\\user@hooks.example.com/",
        "https:user@hooks.example.com/",
        "https:@hooks.example.com/",
        "https:///@hooks.example.com/",
    ] {
        assert_eq!(told(bad), BadTarget::Userinfo, "{bad}");
    }
    assert_eq!(told("https://hooks.example.com/#a"), BadTarget::Fragment);
    assert_eq!(told("https://hooks.example.com/#"), BadTarget::Fragment);
}

#[test]
fn a_host_is_an_address_however_it_is_written() {
    for bad in [
        "https://127.0.0.1/",
        "https://127.0.0.1./",
        "https://127.1/",
        "https://2130706433/",
        "https://017700000001/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.01/",
        "https://①②⑦.0.0.1/",
        "https://127。0。0。1/",
        "https://%31%32%37.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[::127.0.0.1]/",
        "https://0/",
        "https://10.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://0xa9fea9fe/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
    ] {
        assert_eq!(STRICT.read(bad).unwrap_err(), BadTarget::Blocked, "{bad}");
    }
}

#[test]
fn plain_http_is_for_this_machine_where_it_is_allowed() {
    for good in [
        "http://127.0.0.1:9000/",
        "http://[::1]:9000/",
        "http://localhost:9000/",
        "https://127.0.0.1:9000/",
    ] {
        assert!(LOCAL.read(good).is_ok(), "{good}");
        assert!(STRICT.read(good).is_err(), "{good}");
    }
    for bad in [
        "http://1.1.1.1/",
        "http://hooks.example.com/",
        "http://10.0.0.1/",
    ] {
        assert_eq!(LOCAL.read(bad).unwrap_err(), BadTarget::Scheme, "{bad}");
    }
    assert_eq!(
        LOCAL.read("https://10.0.0.1/").unwrap_err(),
        BadTarget::Blocked
    );
}

#[test]
fn one_bad_address_spoils_a_name() {
    let ips = |texts: &[&str]| texts.iter().map(|ip| ip.parse().unwrap()).collect();
    let good = STRICT.filter("hooks.example.com", ips(&["1.1.1.1", "2a00::1"]));
    assert_eq!(good.unwrap().len(), 2);
    for bad in [
        &["1.1.1.1", "10.0.0.1"][..],
        &["1.1.1.1", "::ffff:10.0.0.1"],
    ] {
        let told = STRICT.filter("hooks.example.com", ips(bad));
        assert_eq!(told, Err(BadTarget::Blocked));
    }
    // Plain http may go there: it must be this machine.
    let told = LOCAL.filter("localhost", ips(&["1.1.1.1"]));
    assert_eq!(told, Err(BadTarget::Blocked));
}

proptest! {
    /// However an IPv4 address is put into one of IPv6, it gets no further than it would by itself.
    #[test]
    fn a_disguise_opens_no_door(bits: u32, host: u64) {
        let plain = Ipv4Addr::from(bits);
        prop_assert_eq!(
            STRICT.allows(plain.into()),
            STRICT.allows(plain.to_ipv6_mapped().into())
        );
        let bits = u128::from(bits);
        for disguised in [
            bits,
            (0xffff << 48) | bits,
            (0x0064_ff9b << 96) | bits,
            (0x0064_ff9b_0001 << 80) | bits,
            (0x2002 << 112) | (bits << 80) | u128::from(host),
            (0x2001_0000 << 96) | (bits << 64) | u128::from(host),
        ] {
            prop_assert!(!STRICT.allows(Ipv6Addr::from(disguised).into()));
        }
    }

    /// What is read is as it will be dialled, and is read the same again.
    #[test]
    fn a_url_that_passes_passes_again(text in "(https?:|)[/\\\\]{0,3}[a-z0-9.@:\\[\\]%x]{0,30}[/?#]?.*") {
        if let Ok(url) = STRICT.read(&text) {
            prop_assert_eq!(url.scheme(), "https");
            prop_assert!(url.username().is_empty() && url.password().is_none());
            let again = STRICT.read(url.as_str());
            prop_assert_eq!(again.as_ref(), Ok(&url));
        }
    }
}
