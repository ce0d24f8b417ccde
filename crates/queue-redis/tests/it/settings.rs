//! The URL of a Redis.

use audittrail_queue_redis::RedisSettings;

#[test]
fn what_can_be_read_is_shown_without_secrets() {
    let cases = [
        ("redis://localhost", "redis://localhost:6379/0"),
        (" redis://10.0.0.7:7000/5\n", "redis://10.0.0.7:7000/5"),
        ("redis://[::1]:7000", "redis://[::1]:7000/0"),
        ("redis://[fe80::2]/", "redis://[fe80::2]:6379/0"),
        (
            "rediss://ann:s3cret@redis.example/1",
            "rediss://redis.example:6379/1",
        ),
        (
            "rediss://:s3%2Fcr%40et@redis.example",
            "rediss://redis.example:6379/0",
        ),
        (
            "redis://s3cret@redis.example",
            "redis://redis.example:6379/0",
        ),
        (
            "redis+sentinel://ann:s3cret@a.example,b.example:7000/the-log",
            "redis+sentinel://a.example:26379,b.example:7000/the-log/0",
        ),
        (
            "rediss+sentinel://a.example/m/2?sentinel_user=u&sentinel_password=s3cret",
            "rediss+sentinel://a.example:26379/m/2",
        ),
    ];
    for (url, shown) in cases {
        let settings = RedisSettings::parse(url).unwrap();
        assert_eq!(settings.to_string(), shown);
        assert_eq!(format!("{settings:?}"), format!("RedisSettings({shown})"));
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_what_to_write() {
    let cases = [
        ("", "write redis://"),
        ("localhost:6379", "write redis://"),
        ("http://localhost", "write redis://"),
        ("redis+unix:///run/redis.sock", "write redis://"),
        ("redis://", "the host is missing"),
        ("redis://:s3cret@", "the host is missing"),
        ("redis://a b", "the host is missing"),
        ("redis://[::1", "the host is missing"),
        ("redis://[nine]:1", "the host is missing"),
        ("redis://ann:s3/cret@host", "%2F"),
        ("redis://ann:s3?cret@host", "%2F"),
        ("redis://ann:s3#cret@host", "%23"),
        ("rediss://host#insecure", "always checked"),
        ("redis://ann:s3%ffcret@host", "percent-encoding"),
        ("redis://host:0", "from 1 to 65535"),
        ("redis://host:66000", "from 1 to 65535"),
        ("redis://ann:s3cret:99999", "from 1 to 65535"),
        ("redis://host/one", "from 0 to 65535"),
        ("redis://host/1/2", "from 0 to 65535"),
        ("redis://host,other", "several hosts"),
        ("redis://host?timeout=3", "the only parameters"),
        (
            "redis+sentinel://host",
            "redis+sentinel://host:port/master-name",
        ),
        ("redis+sentinel://host/?sentinel_user=a", "master-name"),
        (
            "redis+sentinel://host/m?sentinel_user=a&sentinel_user=b",
            "each once",
        ),
        ("redis+sentinel://host/m?user=a", "the only parameters"),
    ];
    for (url, expected) in cases {
        let why = RedisSettings::parse(url).unwrap_err().to_string();
        assert!(why.contains(expected), "{url}: {why}");
        assert!(!why.contains("s3"), "{why}");
    }
}

#[test]
fn certificates_belong_to_tls_and_come_with_their_keys() {
    let settings = |url| RedisSettings::parse(url).unwrap();
    let pem = || Some(b"-----BEGIN".to_vec());
    let why = settings("redis://host")
        .with_certificates(pem(), None, None)
        .unwrap_err();
    assert!(why.to_string().contains("write rediss://"), "{why}");
    for (certificate, key) in [(pem(), None), (None, pem())] {
        let given = settings("rediss://host").with_certificates(None, certificate, key);
        assert!(given.unwrap_err().to_string().contains("needs its key"));
    }
    settings("redis://host")
        .with_certificates(None, None, None)
        .unwrap();
    settings("rediss://host")
        .with_certificates(pem(), pem(), pem())
        .unwrap();
}
