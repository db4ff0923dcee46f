//! What the sandbox shows settles checks by itself: told to a real database, with a record that
//! the test writes. In production the record is what partners did.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::admin::Policy;
use crate::admin::partners::NewPartner;
use crate::audit::Actor;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::launch::CheckName::*;
use crate::domain::partner::PartnerStep;
use crate::domain::retention::Kept;
use crate::keys::master::tests::master;
use crate::store::Store;
use crate::store::schema::audit_events;

/// A partner that has shown these checks.
struct Shown(&'static [CheckName]);

impl SandboxRecord for Shown {
    fn evidence(
        &self,
        _: &mut Db,
        partner: &PartnerId,
        check: CheckName,
    ) -> Result<Option<Evidence>, StoreError> {
        let is_shown = self.0.contains(&check);
        Ok(is_shown.then(|| Evidence::new(format!("{partner} did {check}"))))
    }
}

const COMPUTED: &[CheckName] = &[
    SandboxOrder,
    IdempotentRetry,
    WebhookVerified,
    BillingReconciled,
    FailureRecovery,
];

struct House {
    store: Store,
    partner: PartnerId,
    asker: Act,
    second: Act,
    _folder: tempfile::TempDir,
}

fn act(now: Instant) -> Act {
    Act {
        actor: Actor::client(&ClientId::generate(Realm::Admin, now), None),
        now,
        policy: Policy {
            unused: Duration::from_secs(90 * 24 * 3600),
            sandbox_auto_approve: true,
            sandbox_secret_age: Duration::MAX,
            live_secret_age: Duration::MAX,
            revocations_remembered: Duration::from_secs(965),
            kept: Kept {
                requests: 90,
                tokens: 1,
                events: 30,
                idempotency: 1,
                audit: 400,
                personal: 30,
            },
        },
        trail: Arc::clone(master(1).audit()),
    }
}

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}/onyx.db", folder.path().display())).unwrap();
    store.migrate().unwrap();
    let now = Instant::from_epoch_seconds(1_800_000_000);
    let (asker, second) = (act(now), act(now));
    let new = NewPartner {
        name: "Acme".to_owned(),
        legal_name: "Acme Ltd".to_owned(),
        security_contact: "sec@acme.example".to_owned(),
    };
    let partner = store.alone(now, |db| {
        let partner = partners::create(db, &asker, new)?;
        partners::step(db, &asker, &partner.id, PartnerStep::Approve, None)
    });
    House {
        store,
        partner: partner.unwrap().id,
        asker,
        second,
        _folder: folder,
    }
}

impl House {
    fn change<T>(
        &self,
        work: impl FnOnce(&mut Change<'_>, &PartnerId) -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        self.store
            .alone(self.asker.now, |db| work(db, &self.partner))
    }

    fn actions(&self, wanted: Action) -> i64 {
        use diesel::prelude::*;
        let count = self.change(|db, _| {
            let rows = audit_events::table.filter(audit_events::action.eq(wanted.as_str()));
            Ok(rows
                .count()
                .get_result(&mut **db)
                .map_err(StoreError::from)?)
        });
        count.unwrap()
    }
}

fn states(dossier: &Dossier) -> Vec<(CheckName, CheckState)> {
    let checks = dossier.checks.iter();
    checks.map(|check| (check.name, check.state)).collect()
}

fn attested(finding: Finding) -> Settled {
    Settled {
        finding,
        evidence: Some("filed as PR-7".to_owned()),
        reason: Some("for a reason".to_owned()),
    }
}

#[test]
fn what_the_sandbox_shows_is_passed_when_the_review_is_asked_for() {
    let house = house();
    let shown = Shown(&[SandboxOrder, FailureRecovery]);
    let dossier = house
        .change(|db, partner| request(db, &house.asker, &shown, partner))
        .unwrap();
    for (name, state) in states(&dossier) {
        let passed = matches!(name, SandboxOrder | FailureRecovery);
        assert_eq!(state == CheckState::Passed, passed, "{name}");
        assert_eq!(state == CheckState::Pending, !passed, "{name}");
    }
    let order = &dossier.checks[0];
    assert_eq!(order.settled_by.as_deref(), Some("policy"));
    let did = format!("{} did sandbox_order", house.partner);
    assert_eq!(order.evidence, Some(did));
    assert_eq!(house.actions(Action::LaunchCheckSettled), 2);
}

#[test]
fn what_it_shows_later_is_passed_at_the_next_look_and_submits_the_review() {
    let house = house();
    let nothing = Shown(&[]);
    house
        .change(|db, partner| request(db, &house.asker, &nothing, partner))
        .unwrap();
    for name in [PrivacyReview, SupportPath] {
        house
            .change(|db, partner| {
                let settled = attested(Finding::Passed);
                settle(db, &house.asker, &nothing, partner, name, &settled)
            })
            .unwrap();
    }
    let news = |record: &dyn SandboxRecord| {
        house
            .change(|db, partner| Ok(has_news(db, record, partner)?))
            .unwrap()
    };
    assert!(!news(&nothing) && news(&Shown(COMPUTED)));

    let most = Shown(&COMPUTED[1..]);
    let dossier = house
        .change(|db, partner| take_up(db, &house.asker, &most, partner))
        .unwrap();
    assert_eq!(dossier.review.state, ReviewState::Draft);
    assert_eq!(house.actions(Action::LaunchReviewSubmitted), 0);
    assert!(!news(&most), "it was taken up");

    let dossier = house
        .change(|db, partner| take_up(db, &house.asker, &Shown(COMPUTED), partner))
        .unwrap();
    assert_eq!(dossier.review.state, ReviewState::Submitted);
    assert_eq!(house.actions(Action::LaunchReviewSubmitted), 1);
    assert!(!news(&Shown(COMPUTED)), "a submitted review hears no news");

    let decided = house.change(|db, partner| {
        let (record, reason) = (&Shown(COMPUTED), "all is shown");
        decide(
            db,
            &house.second,
            record,
            partner,
            Decision::Approve,
            reason,
        )
    });
    assert_eq!(decided.unwrap().review.state, ReviewState::Approved);
    let approved = house.change(|db, partner| Ok(is_approved(db, partner)?));
    assert!(approved.unwrap());
}

#[test]
fn what_the_sandbox_shows_goes_before_what_an_operator_says() {
    let house = house();
    house
        .change(|db, partner| request(db, &house.asker, &Shown(&[]), partner))
        .unwrap();
    // A waiver of what was shown meanwhile comes too late.
    let waived = house.change(|db, partner| {
        let (record, settled) = (&Shown(COMPUTED), attested(Finding::Waived));
        settle(db, &house.second, record, partner, SandboxOrder, &settled)
    });
    assert!(
        matches!(&waived, Err(AdminError::Illegal { state, .. }) if state == "passed"),
        "{waived:?}"
    );
}

#[test]
fn what_the_sandbox_shows_does_not_touch_what_people_attest_or_waived() {
    let house = house();
    house
        .change(|db, partner| request(db, &house.asker, &Shown(&[]), partner))
        .unwrap();
    house
        .change(|db, partner| {
            let settled = attested(Finding::Waived);
            settle(
                db,
                &house.second,
                &Shown(&[]),
                partner,
                SandboxOrder,
                &settled,
            )
        })
        .unwrap();
    let dossier = house
        .change(|db, partner| take_up(db, &house.asker, &Shown(CheckName::ALL), partner))
        .unwrap();
    for (name, state) in states(&dossier) {
        let wanted = match name {
            SandboxOrder => CheckState::Waived,
            name if name.is_computed() => CheckState::Passed,
            _ => CheckState::Pending,
        };
        assert_eq!(state, wanted, "{name}");
    }
    assert_eq!(dossier.review.state, ReviewState::Draft);
}

#[test]
fn in_production_nothing_is_shown_yet() {
    let house = house();
    for check in CheckName::ALL {
        let shown = house.change(|db, partner| Ok(Sandbox.evidence(db, partner, *check)?));
        assert_eq!(shown.unwrap(), None);
    }
}
