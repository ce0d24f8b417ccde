//! What principals may write, read, export and prove.

use audittrail_auth::{Denied, Principal, ReadAccess, Role, Scope, Scopes, WriteAs};

fn principal(scopes: Scopes, tenant: Option<&str>) -> Principal {
    Principal {
        subject: "ada".to_owned(),
        issuer: None,
        tenant: tenant.map(str::to_owned),
        scopes,
    }
}

fn write(
    role: Role,
    bound: Option<&str>,
    user_id: Option<&str>,
    tenant: Option<&str>,
) -> Result<(String, Option<String>), Scope> {
    match principal(role.scopes(), bound).may_write(user_id, tenant) {
        Ok(WriteAs { user_id, tenant }) => Ok((user_id, tenant)),
        Err(denied) => Err(denied.missing),
    }
}

fn written(user_id: &str, tenant: Option<&str>) -> Result<(String, Option<String>), Scope> {
    Ok((user_id.to_owned(), tenant.map(str::to_owned)))
}

#[test]
fn a_user_writes_as_itself() {
    use Role::User;
    assert_eq!(write(User, None, None, None), written("ada", None));
    assert_eq!(write(User, None, Some("ada"), None), written("ada", None));
    assert_eq!(write(User, None, Some("bob"), None), Err(Scope::Write));
    assert_eq!(write(User, None, Some(""), None), Err(Scope::Write));
    assert_eq!(write(User, None, None, Some("acme")), Err(Scope::Write));
    assert_eq!(
        write(User, Some("acme"), None, None),
        written("ada", Some("acme"))
    );
    assert_eq!(
        write(User, Some("acme"), None, Some("acme")),
        written("ada", Some("acme"))
    );
    assert_eq!(
        write(User, Some("acme"), None, Some("zeta")),
        Err(Scope::Write)
    );
    assert_eq!(
        write(User, Some("acme"), Some("bob"), None),
        Err(Scope::Write)
    );
}

#[test]
fn a_writer_and_an_admin_write_for_anybody_within_their_tenant() {
    for role in [Role::Writer, Role::Admin] {
        assert_eq!(write(role, None, None, None), written("ada", None));
        assert_eq!(write(role, None, Some("bob"), None), written("bob", None));
        assert_eq!(
            write(role, None, Some("bob"), Some("acme")),
            written("bob", Some("acme"))
        );
        let bound = Some("acme");
        assert_eq!(write(role, bound, Some("bob"), None), written("bob", bound));
        assert_eq!(
            write(role, bound, Some("bob"), bound),
            written("bob", bound)
        );
        assert_eq!(
            write(role, bound, Some("bob"), Some("zeta")),
            Err(Scope::Write)
        );
        assert_eq!(write(role, bound, None, Some("")), Err(Scope::Write));
    }
}

#[test]
fn readers_and_auditors_do_not_write() {
    for role in [Role::Reader, Role::Auditor] {
        assert_eq!(write(role, None, None, None), Err(Scope::WriteOwn));
        assert_eq!(write(role, None, Some("bob"), None), Err(Scope::Write));
        assert_eq!(write(role, Some("acme"), None, None), Err(Scope::WriteOwn));
    }
}

fn limits(user_id: Option<&str>, tenant: Option<&str>) -> ReadAccess {
    ReadAccess {
        user_id: user_id.map(str::to_owned),
        tenant: tenant.map(str::to_owned),
    }
}

#[test]
fn reading() {
    for bound in [None, Some("acme")] {
        let read = |role: Role| principal(role.scopes(), bound).read_access();
        assert_eq!(read(Role::User), Ok(limits(Some("ada"), bound)));
        assert_eq!(read(Role::Writer).unwrap_err().missing, Scope::ReadOwn);
        for role in [Role::Reader, Role::Auditor, Role::Admin] {
            assert_eq!(read(role), Ok(limits(None, bound)));
        }
    }
}

#[test]
fn exporting_and_proving() {
    for bound in [None, Some("acme")] {
        for role in Role::ALL {
            let principal = principal(role.scopes(), bound);
            let (export, prove) = (principal.export_access(), principal.prove_access());
            if matches!(role, Role::Auditor | Role::Admin) {
                assert_eq!(export, Ok(limits(None, bound)));
                assert_eq!(prove, Ok(limits(None, bound)));
                assert_eq!(principal.require_tiles().is_ok(), bound.is_none());
            } else {
                assert_eq!(export.unwrap_err().missing, Scope::Export);
                assert_eq!(prove.unwrap_err().missing, Scope::Prove);
                assert_eq!(principal.require_tiles().unwrap_err().missing, Scope::Prove);
            }
        }
    }
}

#[test]
fn a_scope_covers_itself_and_its_own_form_only() {
    for held in Scope::ALL {
        let principal = principal([held].into_iter().collect(), None);
        for asked in Scope::ALL {
            let covered = held == asked
                || (held, asked) == (Scope::Write, Scope::WriteOwn)
                || (held, asked) == (Scope::Read, Scope::ReadOwn);
            let answer = principal.require(asked).map_err(|denied| denied.missing);
            assert_eq!(
                answer,
                if covered { Ok(()) } else { Err(asked) },
                "{held} {asked}"
            );
        }
    }
}

/// More scopes never give less: neither for writing nor for reading.
#[test]
fn scopes_only_ever_add() {
    let sets = (0_u32..1 << Scope::ALL.len()).map(|bits| {
        let held = Scope::ALL.into_iter().enumerate();
        held.filter(|(at, _)| bits & (1 << at) != 0)
            .map(|(_, scope)| scope)
            .collect::<Scopes>()
    });
    for set in sets {
        for more in Scope::ALL {
            let (less, more) = (
                principal(set, None),
                principal(set.union([more].into_iter().collect()), None),
            );
            for user_id in [None, Some("ada"), Some("bob")] {
                for tenant in [None, Some("acme")] {
                    if let Ok(written) = less.may_write(user_id, tenant) {
                        assert_eq!(more.may_write(user_id, tenant), Ok(written));
                    }
                }
            }
            if let Ok(ReadAccess { user_id: None, .. }) = less.read_access() {
                assert_eq!(more.read_access(), Ok(limits(None, None)));
            }
            assert!(less.read_access().is_err() || more.read_access().is_ok());
            assert!(less.export_access().is_err() || more.export_access().is_ok());
        }
    }
}

#[test]
fn a_denial_names_the_scope_and_nothing_of_the_request() {
    let user = principal(Role::User.scopes(), Some("secret-tenant"));
    let denials: [Denied; 5] = [
        user.may_write(Some("bob"), None).unwrap_err(),
        user.may_write(None, Some("zeta")).unwrap_err(),
        user.export_access().unwrap_err(),
        principal(Role::User.scopes(), None)
            .may_write(None, Some("zeta"))
            .unwrap_err(),
        principal(Role::Admin.scopes(), Some("secret-tenant"))
            .require_tiles()
            .unwrap_err(),
    ];
    for (at, denied) in denials.iter().enumerate() {
        let text = denied.to_string();
        let by_scope = text.contains(denied.missing.as_str());
        assert_eq!(by_scope, ![1, 4].contains(&at), "{text}");
        assert!(!text.contains("bob") && !text.contains("zeta") && !text.contains("secret"));
        let allowed = |b: u8| (0x20..=0x7e).contains(&b) && b != b'"' && b != b'\\';
        assert!(text.bytes().all(allowed) && text.ends_with('.'), "{text}");
    }
}
