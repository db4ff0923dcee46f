//! State machines, each a drawing in one place: what can be done, from which states, and what follows.

/// Something that can be done with a thing that has a state.
pub trait Step: Copy + std::fmt::Debug + 'static {
    /// The states of the thing.
    type State: Copy + PartialEq + std::fmt::Display + 'static;
    /// Every step.
    const ALL: &'static [Self];
    /// From which states it leads on.
    fn from(self) -> &'static [Self::State];
    /// Where it leads.
    fn to(self) -> Self::State;
    /// Whether tokens from before must be refused from then on.
    fn tokens_die(self) -> bool;
    /// Whether somebody else than who asked must do it.
    fn needs_four_eyes(self) -> bool;
}

/// The state after a step. `None`: the step does not lead on from there.
pub fn after<S: Step>(state: S::State, step: S) -> Option<S::State> {
    step.from().contains(&state).then(|| step.to())
}

/// The states that can follow, without doubles, in the order of the drawing.
pub fn allowed<S: Step>(state: S::State) -> Vec<S::State> {
    let mut states = Vec::new();
    for next in S::ALL.iter().filter_map(|step| after(state, *step)) {
        if !states.contains(&next) {
            states.push(next);
        }
    }
    states
}

/// A drawing: `Step: From, From => To, consequences`.
///
/// The consequences are `tokens_die` and `four_eyes`.
macro_rules! steps {
    ($(#[$meta:meta])* $name:ident over $state:ident {
        $($(#[$smeta:meta])* $step:ident: $($from:ident),+ => $to:ident $(, $follows:ident)*;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$smeta])* $step),+ }

        impl $crate::domain::lifecycle::Step for $name {
            type State = $state;
            const ALL: &'static [Self] = &[$(Self::$step),+];
            fn from(self) -> &'static [$state] {
                match self { $(Self::$step => &[$($state::$from),+]),+ }
            }
            fn to(self) -> $state {
                match self { $(Self::$step => $state::$to),+ }
            }
            fn tokens_die(self) -> bool {
                match self {
                    $(Self::$step => <[&str]>::contains(&[$(stringify!($follows)),*], &"tokens_die")),+
                }
            }
            fn needs_four_eyes(self) -> bool {
                match self {
                    $(Self::$step => <[&str]>::contains(&[$(stringify!($follows)),*], &"four_eyes")),+
                }
            }
        }
    };
}
pub(crate) use steps;

/// What every drawing is tested for, against edges that the test spells out by itself.
#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    /// No sequence of steps leaves the edges, every edge is walked by some step, and a
    /// refused step changes nothing.
    pub(crate) fn keeps_to<S: Step>(start: S::State, edges: &[(S::State, S::State)])
    where
        S::State: Debug,
    {
        let steps = proptest::collection::vec(proptest::sample::select(S::ALL), 0..40);
        let mut runner = TestRunner::new(Config::with_cases(500));
        runner
            .run(&steps, |steps| {
                let mut state = start;
                for step in steps {
                    let allowed = allowed::<S>(state);
                    match after(state, step) {
                        Some(next) => {
                            prop_assert!(edges.contains(&(state, next)), "{state:?} {step:?}");
                            prop_assert!(allowed.contains(&next));
                            state = next;
                        }
                        None => prop_assert!(!step.from().contains(&state)),
                    }
                }
                Ok(())
            })
            .unwrap();
        for (from, to) in edges {
            assert!(allowed::<S>(*from).contains(to), "{from:?} to {to:?}");
        }
    }
}
