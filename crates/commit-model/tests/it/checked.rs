//! What has to hold of the model, and the checker that goes through it.

use std::time::Duration;

use audittrail_commit_model::{Action, Bounds, Protocol, State, Step, Wrong};
use stateright::{Checker as _, HasDiscoveries, Model, Property};

/// Longer than any of them takes; a machine under load gets its time.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Checked(pub(crate) Protocol);

fn size(state: &State) -> u8 {
    state.db.head.log.size()
}

fn all_told(model: &Checked, state: &State) -> bool {
    let told = &state.told[..model.0.bounds.requests];
    told.iter().all(Option::is_some)
}

/// What a client was told is in the log, there, with its content.
fn told_is_true(model: &Checked, state: &State) -> bool {
    let mut told = (0..).zip(state.told);
    told.all(|(request, told)| {
        told.is_none_or(|first| {
            let ids = state.db.head.log.ids();
            let own = model.0.entries(request);
            ids.get(usize::from(first)..)
                .is_some_and(|ids| ids.starts_with(own))
        })
    })
}

/// Two workers who both believe that they lead.
fn two_lead(_: &Checked, state: &State) -> bool {
    let mut leading = state.workers.iter().filter(|one| one.leads());
    let first = leading.next();
    first.is_some_and(|first| leading.any(|other| other.epoch != first.epoch))
}

impl Model for Checked {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.0.actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.0.next(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "every head extends the one before it",
                |_, state: &State| !state.forked,
            ),
            Property::always("who leads appends to the log", |_, state: &State| {
                let mut workers = state.workers.iter();
                workers.all(|one| state.db.head.log.extends(&one.log))
            }),
            Property::always("what was told is true for ever", told_is_true),
            Property::always("no entry is in the log twice", |_, state: &State| {
                state.db.head.log.has_each_once()
            }),
            Property::always("every entry below the head is there", |_, state: &State| {
                state.db.is_whole()
            }),
            Property::always(
                "checkpoints fit the log and each other",
                |_, state: &State| {
                    !state.bad_checkpoint && state.db.head.log.extends(&state.db.head.kept)
                },
            ),
            Property::always("a look-up finds what is there", |_, state: &State| {
                !state.untrue
            }),
            // What is interesting does happen.
            Property::sometimes("two lead at once", two_lead),
            Property::sometimes(
                "a document of an earlier epoch lies beyond the head",
                |_, state: &State| {
                    let beyond = state.db.docs.iter().skip(usize::from(size(state)));
                    let epoch = state.db.head.epoch;
                    beyond.flatten().any(|doc| doc.epoch < epoch)
                },
            ),
            Property::sometimes("a take-over removes something", |_, state: &State| {
                let mut workers = state.workers.iter();
                workers.any(|one| matches!(one.step, Step::Removing(at) if at > one.log.size()))
            }),
            Property::sometimes("nobody heard of a batch that is in", |_, state: &State| {
                state.workers.iter().any(|one| {
                    let own = Some((one.epoch, one.log.size()));
                    matches!(one.step, Step::Asking { .. }) && state.db.head.batch == own
                })
            }),
            Property::sometimes(
                "one who lost inserts and is in the way",
                |_, state: &State| {
                    let head = &state.db.head;
                    state.workers.iter().any(|one| {
                        let inserts = matches!(one.step, Step::Inserting { done, .. } if done > 0);
                        inserts && one.epoch < head.epoch
                    }) && state.workers.iter().any(|one| {
                        one.epoch == head.epoch && matches!(one.step, Step::Inserting { .. })
                    })
                },
            ),
            Property::sometimes("a look-up has to look again", |_, state: &State| {
                let mut workers = state.workers.iter();
                workers.any(|one| matches!(one.step, Step::Again { .. }))
            }),
            Property::sometimes("all is told and kept", |model, state: &State| {
                all_told(model, state) && state.db.head.kept == state.db.head.log
            }),
        ]
    }
}

/// Goes through all of it: how many states there are, after every property was seen to be as it has
/// to be.
pub(crate) fn explore(bounds: Bounds, wrong: Option<Wrong>) -> usize {
    let checker = Checked(Protocol { bounds, wrong }).checker().threads(2);
    let checker = checker.timeout(PATIENCE).spawn_bfs().join();
    assert!(checker.is_done(), "{bounds:?} takes too long");
    checker.assert_properties();
    println!(
        "{bounds:?}, {wrong:?}: {} states, depth {}, {} steps",
        checker.unique_state_count(),
        checker.max_depth(),
        checker.state_count()
    );
    checker.unique_state_count()
}

/// The properties that a wrong protocol breaks first, all by the same steps or by as many.
pub(crate) fn broken(bounds: Bounds, wrong: Wrong) -> Vec<&'static str> {
    let model = || {
        Checked(Protocol {
            bounds,
            wrong: Some(wrong),
        })
    };
    let checker = model().checker().timeout(PATIENCE);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    assert!(checker.is_done(), "{wrong:?} takes too long");
    let always = model().properties().into_iter();
    let always = always.filter(|property| property.expectation.discovery_is_failure());
    let found =
        always.filter_map(|property| Some((property.name, checker.discovery(property.name)?)));
    let found: Vec<_> = found.collect();
    println!("{wrong:?}: {} states", checker.unique_state_count());
    if let Some((name, path)) = found.first() {
        println!("  not \"{name}\": {:?}", path.clone().into_actions());
    }
    found.into_iter().map(|(name, _)| name).collect()
}
